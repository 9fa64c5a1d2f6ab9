"""What a model is made of: one frozen, cross-checked description and three presets."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from manypath.errors import ConfigError
from manypath.path import is_side_name

TOKEN_PIXELS = 8  # side of one token of the transforms, in pixels
LATENT_PIXELS = 16  # side of one latent position, in pixels
WINDOW_PIXELS = 64  # side of a routing window and of a hyper-latent position, in pixels
LEVELS = 8  # trained rate levels, quality 1..8
QUALITY_STEPS = 32  # quality codes per level: a code is round((quality - 1) * 32)
QUALITY_CODES = (LEVELS - 1) * QUALITY_STEPS + 1

GROUPS = 3  # per transform, as the paper's multi-path stages
MIXERS = ("depthwise", "bottleneck")
SIDE_WIDTHS = {"inverted": 2.0, "square": 1.0, "bottleneck": 0.5, "narrow": 0.25}  # hidden channels per channel


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """A model's shape. Widths are in channels, depths in blocks.

    Attributes:
        name: preset or experiment, for people.
        channels: width of the tokens at 1/8 resolution (C).
        latent_channels: width of the latent at 1/16 resolution (M).
        hyper_channels: width of the hyper-latent at 1/64 resolution (K).
        analysis_depths: multi-path blocks in each of the analysis' three groups.
        synthesis_depths: multi-path blocks in each of the synthesis' three groups.
        coarse_depth: single-path blocks at 1/16 on either side.
        mixer: how a block looks at its neighbours, one of ``MIXERS``.
        features: width of the hyper-synthesis' output (F).
        context_width: hidden width of each context step.
        slices: latent channels per slice, coded one after another.
        stages: spatial passes per slice, 1 (all positions) or 2 (checkerboard).
        sides: side paths the synthesis has weights for, with their shape.
    """

    name: str
    channels: int
    latent_channels: int
    hyper_channels: int
    analysis_depths: tuple[int, int, int]
    synthesis_depths: tuple[int, int, int]
    coarse_depth: int
    mixer: str
    features: int
    context_width: int
    slices: tuple[int, ...]
    stages: tuple[int, ...]
    sides: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        """Check the parts against each other.

        Raises:
            ConfigError: they contradict each other; the message names the fields.
        """
        if self.mixer not in MIXERS:
            raise ConfigError(f"mixer must be one of {', '.join(MIXERS)}; got {self.mixer!r}")
        if sum(self.slices) != self.latent_channels:
            raise ConfigError(f"slices {self.slices} must add up to latent_channels={self.latent_channels}")
        if len(self.stages) != len(self.slices) or not set(self.stages) <= {1, 2}:
            raise ConfigError(f"stages must give 1 or 2 for each of {len(self.slices)} slices; got {self.stages}")
        if not 1 <= len(self.slices) <= 13:
            raise ConfigError(f"the container holds 1 to 13 slices; got {len(self.slices)}")
        for depths in (self.analysis_depths, self.synthesis_depths):
            if len(tuple(depths)) != GROUPS:
                raise ConfigError(f"analysis_depths and synthesis_depths need {GROUPS} groups each; got {depths}")
        for path, shape in self.sides:
            if shape not in SIDE_WIDTHS:
                raise ConfigError(f"side {path!r} must be one of {', '.join(SIDE_WIDTHS)}; got {shape!r}")
            if not is_side_name(path):
                raise ConfigError(
                    f"a side path's name is a lower-case word of at most 32 letters, digits, - and _, not one of "
                    f"perceptual, main, low; got {path!r}"
                )
        if len({path for path, _ in self.sides}) != len(self.sides):
            raise ConfigError(f"sides must have different names; got {self.sides}")

    def to_json(self) -> str:
        """Return the configuration as one line of JSON."""
        return json.dumps(dataclasses.asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> ModelConfig:
        """Read what ``to_json`` wrote.

        Raises:
            ConfigError: not JSON, an unknown or a missing field, or fields that contradict each other.
        """
        try:
            fields: dict[str, Any] = json.loads(text)
            known = {field.name for field in dataclasses.fields(cls)}
            if set(fields) - known:
                raise ConfigError(f"a model configuration has the fields {sorted(known)}; got {text[:200]!r}")
            for key, value in fields.items():
                if isinstance(value, list):
                    fields[key] = tuple(tuple(v) if isinstance(v, list) else v for v in value)
            return cls(**fields)
        except (ValueError, TypeError) as err:
            raise ConfigError(f"not a model configuration: {err}") from err


EDGE = ModelConfig(
    name="edge",
    channels=128,
    latent_channels=192,
    hyper_channels=64,
    analysis_depths=(1, 1, 2),
    synthesis_depths=(2, 2, 1),
    coarse_depth=2,
    mixer="depthwise",
    features=128,
    context_width=192,
    slices=(16, 48, 128),
    stages=(2, 2, 1),
)

EDGE_SMALL = dataclasses.replace(
    EDGE,
    name="edge-small",
    channels=96,
    latent_channels=128,
    hyper_channels=32,
    analysis_depths=(1, 1, 1),
    synthesis_depths=(1, 1, 1),
    coarse_depth=1,
    features=96,
    context_width=128,
    slices=(16, 112),
    stages=(2, 1),
)

TINY = dataclasses.replace(
    EDGE,
    name="tiny",
    channels=32,
    latent_channels=32,
    hyper_channels=8,
    analysis_depths=(1, 1, 1),
    synthesis_depths=(1, 1, 1),
    coarse_depth=1,
    features=32,
    context_width=32,
    slices=(8, 24),
    stages=(2, 1),
)

PRESETS = {config.name: config for config in (EDGE, EDGE_SMALL, TINY)}
