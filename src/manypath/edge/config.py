"""The configuration of a model for cameras, and its presets."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from manypath.config import GROUPS, ModelConfig
from manypath.errors import ConfigError
from manypath.quality import LEVELS

WIDE_RATE_WEIGHTS = tuple(18.0 * (0.025 / 18.0) ** (level / (LEVELS - 1)) for level in range(LEVELS))


@dataclasses.dataclass(frozen=True, kw_only=True)
class EdgeConfig(ModelConfig):
    """A model for cameras: one scale at 1/8, routing in windows, entropy parameters in integers.

    Attributes:
        channels: width of the tokens at 1/8 resolution (C).
        analysis_depths: multi-path blocks in each of the analysis' three groups.
        synthesis_depths: multi-path blocks in each of the synthesis' three groups.
        coarse_depth: single-path blocks at 1/16 on either side.
        features: width of the hyper-synthesis' output (F).
        context_width: hidden width of each context step.
        stages: spatial passes per slice, 1 (all positions) or 2 (checkerboard).
        detail_channels: the last latent channels, those of a linear branch from pixels to pixels; 0 for none.
        hyper_levels: sets of probability tables of the hyper-latent: 1 for all qualities, or one a level.
        refined: whether hyper features are added to the other latents on their way into the synthesis.
    """

    FAMILY: ClassVar[str] = "edge"

    channels: int
    analysis_depths: tuple[int, int, int]
    synthesis_depths: tuple[int, int, int]
    coarse_depth: int
    features: int
    context_width: int
    stages: tuple[int, ...]
    detail_channels: int = 0
    hyper_levels: int = 1
    refined: bool = False

    @property
    def coarse_channels(self) -> int:
        """Return the width of the latent that the blocks make and read: all but the detail branch's."""
        return self.latent_channels - self.detail_channels

    def __post_init__(self) -> None:
        """Check the parts against each other; see ``ModelConfig``."""
        super().__post_init__()
        if not 0 <= self.detail_channels < self.latent_channels:
            raise ConfigError(
                f"detail_channels must be from 0 to less than latent_channels={self.latent_channels}; "
                f"got {self.detail_channels}"
            )
        if self.hyper_levels not in {1, LEVELS}:
            raise ConfigError(f"hyper_levels must be 1 or {LEVELS}; got {self.hyper_levels}")
        if len(self.stages) != len(self.slices) or not set(self.stages) <= {1, 2}:
            raise ConfigError(f"stages must give 1 or 2 for each of {len(self.slices)} slices; got {self.stages}")
        for depths in (self.analysis_depths, self.synthesis_depths):
            if len(tuple(depths)) != GROUPS:
                raise ConfigError(f"analysis_depths and synthesis_depths need {GROUPS} groups each; got {depths}")


EDGE = EdgeConfig(
    name="edge",
    channels=128,
    latent_channels=384,
    hyper_channels=64,
    analysis_depths=(1, 2, 2),
    synthesis_depths=(2, 3, 2),
    coarse_depth=2,
    features=128,
    context_width=192,
    slices=(16, 48, 128, 192),
    stages=(2, 2, 1, 1),
    detail_channels=192,
    hyper_levels=LEVELS,
    refined=True,
    rate_weights=WIDE_RATE_WEIGHTS,
)

TINY = dataclasses.replace(
    EDGE,
    name="tiny",
    channels=32,
    latent_channels=48,
    hyper_channels=8,
    analysis_depths=(1, 1, 1),
    synthesis_depths=(1, 1, 1),
    coarse_depth=1,
    features=32,
    context_width=32,
    slices=(8, 24, 16),
    stages=(2, 1, 1),
    detail_channels=16,
    hyper_levels=1,
)

PRESETS = (EDGE, TINY)
