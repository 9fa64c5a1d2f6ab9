"""Training recipes: TOML in, a frozen and checked object out."""

from __future__ import annotations

import tomllib
from importlib import resources
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from manypath.config import PRESETS, SIDE_WIDTHS
from manypath.errors import ConfigError
from manypath.path import is_side_name


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LearningRates(_Strict):
    """Adam's step size per kind of parameter.

    The table of index offsets is counted in scale indexes (6 to an octave), hence its large rate; the block KLT's
    layers carry the whole picture, hence their small one.
    """

    linear: float = Field(default=2e-4, gt=0, description="embed, merge, split, paint: the layers of the linear start")
    transforms: float = Field(default=5e-4, gt=0, description="the rest of g_a and g_s")
    entropy: float = Field(default=1e-3, gt=0, description="h_a, h_s, the context model and the factorised prior")
    tables: float = Field(default=2e-3, gt=0, description="log2 gains and thresholds")
    index: float = Field(default=2e-2, gt=0, description="scale index offsets")
    sides: float = Field(default=1e-3, gt=0, description="the synthesis' side MLPs, where they learn too")
    predictors: float = Field(default=5e-3, gt=0, description="the synthesis' predictors, where they learn too")


class Loss(_Strict):
    """Weights beside the rate-distortion Lagrangian."""

    ratio: float = Field(default=1.0, ge=0, description="of the predictors' ratio loss")
    perceptual: float = Field(default=0.0, ge=0, description="of the perceptual distance, in the distortion's unit")
    perceptual_every: int = Field(
        default=1, ge=1, description="steps between perceptual terms; their weight makes up for it"
    )


class Phase(_Strict):
    """A stretch of training with one crop size and a linear change of the learning rate."""

    steps: int = Field(gt=0)
    batch: int = Field(gt=0, description="crops per step")
    crop: int = Field(ge=64, multiple_of=64, description="side of a crop, pixels")
    rate: tuple[float, float] = Field(default=(1.0, 1.0), description="learning-rate factor at its start and end")
    perceptual: bool = Field(default=False, description="whether the perceptual term counts")


class BaseRecipe(_Strict):
    """What every training run is told, but for the pictures."""

    name: str
    seed: int = 1
    warmup: int = Field(default=200, ge=0, description="steps of linear warm-up")
    clip: float = Field(default=1.0, gt=0, description="largest global gradient norm")
    ema: float = Field(default=0.999, ge=0, lt=1, description="decay of the weights' moving average")
    fractions: float = Field(default=0.5, ge=0, le=1, description="share of samples at a fractional quality")
    phases: tuple[Phase, ...] = Field(min_length=1)

    @property
    def steps(self) -> int:
        """Return the number of steps of all phases."""
        return sum(phase.steps for phase in self.phases)

    def at(self, step: int) -> tuple[Phase, float]:
        """Return the phase of a step and the learning-rate factor there, warm-up included."""
        start = 0
        for phase in self.phases:
            if step < start + phase.steps or phase is self.phases[-1]:
                along = min(1.0, (step - start) / phase.steps)
                factor = phase.rate[0] + (phase.rate[1] - phase.rate[0]) * along
                return phase, factor * min(1.0, (step + 1) / max(1, self.warmup))
            start += phase.steps
        raise AssertionError("a recipe has at least one phase")


class Recipe(BaseRecipe):
    """How a main model is trained."""

    preset: str = "edge"
    mixer: str | None = Field(default=None, description="replaces the preset's mixer, for ablations")
    learning_rates: LearningRates = LearningRates()
    loss: Loss = Loss()


class SideLoss(_Strict):
    """Weights of a side path's terms; every term is divided by the root of the rate's weight but the task's."""

    mse: float = Field(default=1.0, ge=0, description="of the squared error, as in the main model's loss")
    perceptual: float = Field(default=0.0, ge=0, description="of the perceptual distance, in the squared error's unit")
    perceptual_every: int = Field(
        default=1, ge=1, description="steps between perceptual terms; their weight makes up for it"
    )
    task: float = Field(default=0.0, ge=0, description="of the distance from the network's answer on the original")
    ratio: float = Field(default=1.0, ge=0, description="of the predictors' ratio loss")


class SideTask(_Strict):
    """What a side path is for, and how its answers are judged."""

    path: str = Field(description="name of the path")
    shape: str = Field(default="adapter", description=f"of its MLPs: {', '.join(SIDE_WIDTHS)}")
    network: str | None = Field(
        default=None, description="classifier, segmenter, an ONNX file or module:factory; needed by the task's term"
    )
    all_side: float = Field(default=0.5, ge=0, le=1, description="share of steps at task_share 1")
    noise: float = Field(default=0.3, ge=0, description="of the predictors' exploration; 1 is the published scale")
    zoom_out: float = Field(default=1.0, ge=1, description="pictures are shrunk by up to this factor before cropping")
    input_share: tuple[float, float] = Field(
        default=(1.0, 1.0), description="side of the square that the network sees, of the crop's; drawn per step"
    )
    input_side: int | None = Field(default=None, gt=0, description="pixels that this square is resized to")
    loss: SideLoss = SideLoss()

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.shape not in SIDE_WIDTHS:
            raise ValueError(f"shape must be one of {', '.join(SIDE_WIDTHS)}; got {self.shape!r}")
        if not is_side_name(self.path):
            raise ValueError(f"path must be a side path's name, a lower-case word; got {self.path!r}")
        return self


class SideRecipe(BaseRecipe, SideTask):
    """How one side path is trained on a frozen model (MPA's stage 2)."""

    rate: float = Field(default=1e-3, gt=0, description="Adam's step size")
    predictor_rate: float = Field(default=5e-3, gt=0, description="Adam's step size for the predictors")


class MixTask(SideTask):
    """One of the paths that a mixed recipe trains beside the main one."""

    chance: float = Field(gt=0, description="of a step being for this path, beside the others' chances")


class MixRecipe(Recipe):
    """How a whole model is tuned for a mix of tasks: what all paths share, and the paths.

    Every step has the main model's loss and, times ``tasks_weight``, one path's.
    """

    tasks: tuple[MixTask, ...] = Field(min_length=1)
    tasks_weight: float = Field(gt=0, description="of a path's loss beside the main model's")
    upper: float = Field(default=0.0, ge=0, le=1, description="share of samples at qualities drawn from 4.5 upwards")


def shipped() -> tuple[str, ...]:
    """Return the names of the recipes that come with the package."""
    folder = resources.files("manypath_lab") / "recipes"
    return tuple(sorted(file.name.removesuffix(".toml") for file in folder.iterdir() if file.name.endswith(".toml")))


def load_recipe(name_or_file: str, *, steps: int | None = None, **changes: object) -> Recipe | SideRecipe:
    """Read a shipped recipe by name, or a TOML file; one with a ``path`` trains a side, one with ``tasks`` a mix.

    Args:
        name_or_file: which.
        steps: of a recipe with one phase, instead of the file's.
        changes: fields that replace the file's.

    Raises:
        ConfigError: no such recipe, not TOML, or a value that is out of range; the message says which.
    """
    if name_or_file in shipped():
        text = (resources.files("manypath_lab") / "recipes" / f"{name_or_file}.toml").read_text()
    else:
        try:
            text = Path(name_or_file).read_text()
        except OSError as err:
            raise ConfigError(f"no recipe {name_or_file!r}: neither a file nor one of {', '.join(shipped())}") from err
    try:
        fields = {**tomllib.loads(text), **changes}
        if steps is not None:
            (phase,) = fields["phases"]
            phase["steps"] = steps
        if "path" in fields:
            return SideRecipe.model_validate(fields)
        recipe = (MixRecipe if "tasks" in fields else Recipe).model_validate(fields)
    except (tomllib.TOMLDecodeError, ValidationError, KeyError, ValueError) as err:
        raise ConfigError(f"recipe {name_or_file}: {err}") from err
    if recipe.preset not in PRESETS:
        raise ConfigError(f"recipe {name_or_file}: preset must be one of {', '.join(PRESETS)}; got {recipe.preset!r}")
    return recipe
