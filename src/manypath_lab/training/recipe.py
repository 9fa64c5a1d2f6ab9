"""Training recipes: TOML in, a frozen and checked object out."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from manypath.config import SIDE_WIDTHS
from manypath.errors import ConfigError
from manypath.families import PRESETS
from manypath.paths import is_side_name


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


FEATURES = (
    "module:factory of the perceptual term's network, [B, 3, H, W] in [0, 1] to a list of maps; "
    "by default EfficientNet-Lite0's first four"
)
BALANCED = "divide by the root of the rate's weight, so that all levels train alike; the published training does not"


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


class MuonRates(_Strict):
    """Muon for the matrices of blocks, hyper-transforms and context; everything else stays with Adam."""

    rate: float = Field(default=1e-3, gt=0, description="step size, in Adam's unit (updates of matched size)")
    weight_decay: float = Field(default=0.02, ge=0)


class Augmentation(_Strict):
    """Shares of training crops that are changed; a crop may be changed in several ways."""

    shrunk: float = Field(default=0.33, ge=0, le=1, description="shrunk by 1 to 2; those for the top levels always are")
    transposed: float = Field(default=0.25, ge=0, le=1)
    darkened: float = Field(default=0.1, ge=0, le=1, description="as at dusk, with noise")
    written: float = Field(default=0.06, ge=0, le=1, description="with a line of text or a timestamp drawn in")
    drawn: float = Field(default=0.06, ge=0, le=1, description="drawn pictures in place of photographs")
    drawn_weight: float = Field(
        default=0.12, gt=0, description="of a drawn picture in the loss, since its errors are tens of times larger"
    )


class Loss(_Strict):
    """Weights beside the rate-distortion Lagrangian."""

    ratio: float = Field(default=1.0, ge=0, description="of the predictors' ratio loss")
    perceptual: float = Field(default=0.0, ge=0, description="of the perceptual distance, in the distortion's unit")
    perceptual_every: int = Field(
        default=1, ge=1, description="steps between perceptual terms; their weight makes up for it"
    )
    features: str | None = Field(default=None, description=FEATURES)
    balanced: bool = Field(default=True, description=BALANCED)
    ms_ssim: float = Field(default=0.0, ge=0, description="of 1 - MS-SSIM, in the unit of 0.01 MSE, where a phase asks")
    ms_ssim_every: int = Field(default=2, ge=1, description="steps between these terms; their weight makes up for it")
    low_pass: float = Field(
        default=0.0, ge=0, description="of the squared error of means over 8x8 pixels: eyes see blotches on flat areas"
    )
    dark: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="share of the squared error that is weighed by how dark its surroundings are",
    )


class Gan(_Strict):
    """The adversarial term and who it is against."""

    weight: float = Field(gt=0, description="of the generator's term")
    rate: float = Field(default=1e-4, gt=0, description="Adam's step size for the discriminator")
    width: int = Field(default=64, gt=0, description="channels of the discriminator's first layer, 8 times in the last")


class Phase(_Strict):
    """A stretch of training with one crop size and a linear change of the learning rate."""

    steps: int = Field(gt=0)
    batch: int = Field(gt=0, description="crops per step")
    crop: int = Field(ge=64, multiple_of=64, description="side of a crop, pixels")
    rate: tuple[float, float] = Field(default=(1.0, 1.0), description="learning-rate factor at its start and end")
    perceptual: bool = Field(default=False, description="whether the perceptual term counts")
    ms_ssim: bool = Field(default=False, description="whether the MS-SSIM term counts; needs crops of 192 or more")


class BaseRecipe(_Strict):
    """What every training run is told, but for the pictures."""

    name: str
    seed: int = 1
    warmup: int = Field(default=200, ge=0, description="steps of linear warm-up")
    clip: float = Field(default=1.0, gt=0, description="largest global gradient norm")
    ema: float = Field(default=0.999, ge=0, lt=1, description="decay of the weights' moving average")
    fractions: float = Field(default=0.5, ge=0, le=1, description="share of samples at a fractional quality")
    precision: Literal["float32", "bfloat16", "auto"] = Field(
        default="auto", description="of products: bfloat16 under autocast, or that only where the processor has units"
    )
    validate_every: int = Field(default=500, gt=0, description="steps between validations, where pictures are given")
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
    freeze: tuple[str, ...] = Field(default=(), description="parts that stand still: g_a, g_s.coarse, rate ...")
    learning_rates: LearningRates = LearningRates()
    muon: MuonRates | None = Field(default=None, description="Adam for all where there is none")
    augmentation: Augmentation | None = Field(default=None, description="plain crops, flipped, where there is none")
    loss: Loss = Loss()


class GanRecipe(Recipe):
    """How a main model goes on with a discriminator beside it (MPA's second half of stage 1)."""

    gan: Gan


class SideLoss(_Strict):
    """Weights of a side path's terms; ``balanced`` is about the squared error and the perceptual distance."""

    mse: float = Field(default=1.0, ge=0, description="of the squared error, as in the main model's loss")
    perceptual: float = Field(default=0.0, ge=0, description="of the perceptual distance, in the squared error's unit")
    perceptual_every: int = Field(
        default=1, ge=1, description="steps between perceptual terms; their weight makes up for it"
    )
    wasserstein: float = Field(
        default=0.0, ge=0, description="of the Wasserstein distortion of deep features, in the squared error's unit"
    )
    colour: float = Field(
        default=0.0, ge=0, description="of the absolute error of means over 8x8 and 16x16 pixels, in the same unit"
    )
    grid: float = Field(
        default=0.0,
        ge=0,
        description="of the squared error of what repeats in each token of a window, in the same unit",
    )
    task: float = Field(default=0.0, ge=0, description="of the distance from the network's answer on the original")
    ratio: float = Field(default=1.0, ge=0, description="of the predictors' ratio loss")
    features: str | None = Field(default=None, description=FEATURES)
    balanced: bool = Field(default=True, description=BALANCED)


class SideTask(_Strict):
    """What a side path is for, and how its answers are judged."""

    path: str = Field(description="name of the path")
    shape: str = Field(default="adapter", description=f"of its MLPs: {', '.join(SIDE_WIDTHS)}")
    network: str | None = Field(
        default=None,
        description="classifier, segmenter[=FILE], detector, an ONNX file or module:factory; for the task's term",
    )
    also: tuple[str, ...] = Field(
        default=(), description="more networks of the task, one drawn a step: what several agree on serves others too"
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
    augmentation: Augmentation | None = Field(
        default=None, description="for eyes; plain upright crops, as networks want them, where there is none"
    )


class JointTask(SideTask):
    """One of the paths that a joint fine-tuning trains beside the main one."""

    chance: float = Field(gt=0, description="of a step being for this path, beside the others' chances")


class JointRecipe(Recipe):
    """How a whole model is tuned jointly for all its paths: what they share, and each of them.

    Every step has the main model's loss and, times ``tasks_weight``, one path's; or the main model's alone, on
    augmented crops.
    """

    plain: float = Field(default=0.0, ge=0, lt=1, description="share of steps with the main model's loss alone")

    tasks: tuple[JointTask, ...] = Field(min_length=1)
    tasks_weight: float = Field(gt=0, description="of a path's loss beside the main model's")
    upper: float = Field(default=0.0, ge=0, le=1, description="share of samples at qualities drawn from 4.5 upwards")


def shipped() -> tuple[str, ...]:
    """Return the names of the recipes that come with the package."""
    folder = resources.files("manypath_lab") / "recipes"
    return tuple(sorted(file.name.removesuffix(".toml") for file in folder.iterdir() if file.name.endswith(".toml")))


def recipe_kind(fields: Mapping[str, object]) -> type[Recipe | SideRecipe]:
    """Return what a recipe with these fields is: ``path`` trains a side, ``tasks`` several jointly, ``gan`` two."""
    if "path" in fields:
        return SideRecipe
    if "tasks" in fields:
        return JointRecipe
    return GanRecipe if "gan" in fields else Recipe


def recipe_of(run: Path) -> Recipe | SideRecipe:
    """Return a run's recipe.

    Raises:
        OSError: the folder holds no run.
    """
    text = (run / "recipe.json").read_text()
    return recipe_kind(json.loads(text)).model_validate_json(text)


def _shortened(recipe: BaseRecipe, steps: int | None) -> list[Phase]:
    """Return a recipe's phases with so many steps together, each its share; those left without any are dropped."""
    if steps is None:
        return list(recipe.phases)
    if steps < 1:
        raise ValueError(f"steps must be at least 1; got {steps}")
    ends = np.rint(np.cumsum([phase.steps for phase in recipe.phases]) * (steps / recipe.steps))
    lengths = np.diff(ends, prepend=0.0).astype(int).tolist()
    pairs = zip(recipe.phases, lengths, strict=True)
    return [phase.model_copy(update={"steps": length}) for phase, length in pairs if length]


def load_recipe(
    name_or_file: str,
    *,
    steps: int | None = None,
    batch: int | None = None,
    crop: int | None = None,
    **changes: object,
) -> Recipe | SideRecipe:
    """Read a shipped recipe by name, or a TOML file; see ``recipe_kind``.

    Args:
        name_or_file: which.
        steps: instead of the file's; several phases keep their shares.
        batch: of every phase, instead of the file's.
        crop: of every phase, pixels, instead of the file's.
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
        kind = recipe_kind(fields)
        recipe = kind.model_validate(fields)
        given = {key: value for key, value in (("batch", batch), ("crop", crop)) if value is not None}
        phases = [{**phase.model_dump(), **given} for phase in _shortened(recipe, steps)]
        recipe = kind.model_validate({**fields, "phases": phases})
    except (tomllib.TOMLDecodeError, ValidationError, KeyError, ValueError) as err:
        raise ConfigError(f"recipe {name_or_file}: {err}") from err
    if isinstance(recipe, Recipe) and recipe.preset not in PRESETS:
        raise ConfigError(f"recipe {name_or_file}: preset must be one of {', '.join(PRESETS)}; got {recipe.preset!r}")
    return recipe
