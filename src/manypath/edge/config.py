"""The configuration of a model for cameras, and its presets."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from manypath.config import ADAPTERS, GROUPS, ModelConfig
from manypath.errors import ConfigError

MIXERS = ("depthwise", "bottleneck")


@dataclasses.dataclass(frozen=True, kw_only=True)
class EdgeConfig(ModelConfig):
    """A model for cameras: one scale at 1/8, routing in windows, entropy parameters in integers.

    Attributes:
        channels: width of the tokens at 1/8 resolution (C).
        analysis_depths: multi-path blocks in each of the analysis' three groups.
        synthesis_depths: multi-path blocks in each of the synthesis' three groups.
        coarse_depth: single-path blocks at 1/16 on either side.
        mixer: how a block looks at its neighbours, one of ``MIXERS``.
        features: width of the hyper-synthesis' output (F).
        context_width: hidden width of each context step.
        stages: spatial passes per slice, 1 (all positions) or 2 (checkerboard).
        main_adapter: shape of what the synthesis' main path adds to the MLPs that it shares with adapters; or empty.
    """

    FAMILY: ClassVar[str] = "edge"

    channels: int
    analysis_depths: tuple[int, int, int]
    synthesis_depths: tuple[int, int, int]
    coarse_depth: int
    mixer: str
    features: int
    context_width: int
    stages: tuple[int, ...]
    main_adapter: str = ""

    def __post_init__(self) -> None:
        """Check the parts against each other; see ``ModelConfig``."""
        super().__post_init__()
        if self.mixer not in MIXERS:
            raise ConfigError(f"mixer must be one of {', '.join(MIXERS)}; got {self.mixer!r}")
        if len(self.stages) != len(self.slices) or not set(self.stages) <= {1, 2}:
            raise ConfigError(f"stages must give 1 or 2 for each of {len(self.slices)} slices; got {self.stages}")
        if self.main_adapter and self.main_adapter not in ADAPTERS:
            raise ConfigError(f"main_adapter must be one of {', '.join(ADAPTERS)}, or empty; got {self.main_adapter!r}")
        for depths in (self.analysis_depths, self.synthesis_depths):
            if len(tuple(depths)) != GROUPS:
                raise ConfigError(f"analysis_depths and synthesis_depths need {GROUPS} groups each; got {depths}")


EDGE = EdgeConfig(
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
