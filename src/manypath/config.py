"""What a model is made of: what the configurations of all families have in common."""

from __future__ import annotations

import dataclasses
import itertools
import json
from typing import ClassVar

from manypath.errors import ConfigError
from manypath.paths import DecodePath, is_side_name
from manypath.quality import LEVELS

# of the rate beside 0.01 * MSE on 0..255, for quality 1..8. Source: MPA section 5.1
PUBLISHED_RATE_WEIGHTS = (18.0, 9.32, 4.83, 2.5, 1.3, 0.67, 0.35, 0.18)
GROUPS = 3  # per transform, as the paper's multi-path stages
# of a side's MLPs: hidden channels per channel
SIDE_WIDTHS = {
    "inverted": 2.0,
    "bottleneck": 0.5,
    "adapter": 0.25,
    "wide-adapter": 1.0,
    "noise-adapter": 1.0,
}
ADAPTERS = ("adapter", "wide-adapter", "noise-adapter")  # add to the main path's output; the others replace it
NOISE_ADAPTERS = ("noise-adapter",)  # see planes of seeded noise as well: texture needs a source


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """What the families of models have in common. Widths are in channels, depths in blocks.

    Attributes:
        name: preset or experiment, for people.
        latent_channels: width of the latent at 1/16 resolution (M).
        hyper_channels: width of the hyper-latent at 1/64 resolution (K).
        slices: latent channels per slice, coded one after another.
        sides: side paths the synthesis has weights for, with their shape.
        rate_weights: what a bit per pixel weighs at each level, beside 0.01 * MSE on 0..255; they fall.
    """

    FAMILY: ClassVar[str] = ""

    name: str
    latent_channels: int
    hyper_channels: int
    slices: tuple[int, ...]
    sides: tuple[tuple[str, str], ...] = ()
    rate_weights: tuple[float, ...] = PUBLISHED_RATE_WEIGHTS

    def __post_init__(self) -> None:
        """Check the parts against each other.

        Raises:
            ConfigError: they contradict each other; the message names the fields.
        """
        if sum(self.slices) != self.latent_channels:
            raise ConfigError(f"slices {self.slices} must add up to latent_channels={self.latent_channels}")
        weights = self.rate_weights
        if len(weights) != LEVELS or not all(high > low > 0 for high, low in itertools.pairwise(weights)):
            raise ConfigError(f"rate_weights must be {LEVELS} falling positive numbers; got {weights}")
        if not 1 <= len(self.slices) <= 13:
            raise ConfigError(f"the container holds 1 to 13 slices; got {len(self.slices)}")
        for path, shape in self.sides:
            if shape not in SIDE_WIDTHS:
                raise ConfigError(f"side {path!r} must be one of {', '.join(SIDE_WIDTHS)}; got {shape!r}")
            if not is_side_name(path):
                raise ConfigError(
                    f"a side path's name is a lower-case word of at most 32 letters, digits, - and _, not one of "
                    f"main, low; got {path!r}"
                )
        names = {path for path, _ in self.sides}
        if len(names) != len(self.sides):
            raise ConfigError(f"sides must have different names; got {self.sides}")
        if {DecodePath.PERCEPTUAL.value, DecodePath.MSE.value} <= names:
            raise ConfigError("sides may not be perceptual and mse at once: the main path serves one of them; drop one")

    def to_json(self) -> str:
        """Return the configuration as one line of JSON; ``families.read_config`` reads it."""
        return json.dumps({"family": self.FAMILY, **dataclasses.asdict(self)}, separators=(",", ":"))
