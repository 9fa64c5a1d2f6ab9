"""The configuration of the published network, and its presets."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from manypath.config import GROUPS, NOISE_ADAPTERS, ModelConfig
from manypath.errors import ConfigError

PASSES = {"all": 1, "odd-even": 2, "even-odd": 2, "quarters": 4}  # over a slice's positions, by its pattern


@dataclasses.dataclass(frozen=True, kw_only=True)
class TinyLICConfig(ModelConfig):
    """The published network: four scales, neighbourhood attention, routing over the picture, floats throughout.

    Attributes:
        channels: widths at 1/2, 1/4 and 1/8 resolution; multiples of ``head``, as the latent and hyper-latent are.
        depths: blocks at 1/2, 1/4, 1/8 and 1/16, the same in both transforms.
        hyper_depth: blocks at 1/32 and at 1/64, the same in both hyper-transforms.
        head: channels of one attention head.
        window: side of the attention's window in the transforms, tokens, odd.
        hyper_window: the same in the hyper-transforms.
        patterns: how each slice's positions are shared out to passes, of ``PASSES``.
        integer: whether the entropy parameters are integers, made of a trained model's floats.
    """

    FAMILY: ClassVar[str] = "tinylic"

    channels: tuple[int, int, int]
    depths: tuple[int, int, int, int]
    hyper_depth: int
    head: int
    window: int
    hyper_window: int
    patterns: tuple[str, ...]
    integer: bool = False

    def __post_init__(self) -> None:
        """Check the parts against each other; see ``ModelConfig``."""
        super().__post_init__()
        if len(self.channels) != GROUPS or len(self.depths) != GROUPS + 1:
            raise ConfigError(
                f"channels needs {GROUPS} widths and depths {GROUPS + 1}; got {self.channels} and {self.depths}"
            )
        for width in (*self.channels, self.latent_channels, self.hyper_channels):
            if self.head < 1 or width % self.head or width % 16:
                raise ConfigError(f"every width must be a multiple of 16 and of head={self.head}; got {width}")
        if not (self.window % 2 and self.hyper_window % 2):
            raise ConfigError(f"window and hyper_window must be odd; got {self.window} and {self.hyper_window}")
        if any(shape in NOISE_ADAPTERS for _, shape in self.sides):
            raise ConfigError(f"sides of the shape {NOISE_ADAPTERS[0]} are for edge models alone; got {self.sides}")
        if len(self.patterns) != len(self.slices) or not set(self.patterns) <= set(PASSES):
            raise ConfigError(f"patterns must name one of {', '.join(PASSES)} a slice; got {self.patterns}")


TINYLIC = TinyLICConfig(
    name="tinylic",
    channels=(128, 192, 256),
    latent_channels=320,
    hyper_channels=192,
    depths=(2, 2, 6, 2),
    hyper_depth=2,
    head=16,
    window=7,
    hyper_window=3,
    slices=(24, 69, 104, 123),
    patterns=("quarters", "odd-even", "even-odd", "all"),
)
TINYLIC_TINY = dataclasses.replace(
    TINYLIC,
    name="tinylic-tiny",
    channels=(16, 32, 32),
    latent_channels=32,
    hyper_channels=16,
    depths=(1, 1, 1, 1),
    hyper_depth=1,
    slices=(3, 6, 9, 14),
)
PUBLISHED_SIDES = (("mse", "inverted"), ("classification", "bottleneck"), ("segmentation", "bottleneck"))

PRESETS = (TINYLIC, TINYLIC_TINY)
