"""What a model is made of: what the configurations of all families have in common."""

from __future__ import annotations

import dataclasses
import json
from typing import ClassVar

from manypath.errors import ConfigError
from manypath.paths import is_side_name

GROUPS = 3  # per transform, as the paper's multi-path stages
# of a side's MLPs: hidden channels per channel
SIDE_WIDTHS = {
    "inverted": 2.0,
    "square": 1.0,
    "bottleneck": 0.5,
    "narrow": 0.25,
    "adapter": 0.25,
    "wide-adapter": 1.0,
}
ADAPTERS = ("adapter", "wide-adapter")  # add to the main path's output; the other shapes replace it


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """What the families of models have in common. Widths are in channels, depths in blocks.

    Attributes:
        name: preset or experiment, for people.
        latent_channels: width of the latent at 1/16 resolution (M).
        hyper_channels: width of the hyper-latent at 1/64 resolution (K).
        slices: latent channels per slice, coded one after another.
        sides: side paths the synthesis has weights for, with their shape.
    """

    FAMILY: ClassVar[str] = ""

    name: str
    latent_channels: int
    hyper_channels: int
    slices: tuple[int, ...]
    sides: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        """Check the parts against each other.

        Raises:
            ConfigError: they contradict each other; the message names the fields.
        """
        if sum(self.slices) != self.latent_channels:
            raise ConfigError(f"slices {self.slices} must add up to latent_channels={self.latent_channels}")
        if not 1 <= len(self.slices) <= 13:
            raise ConfigError(f"the container holds 1 to 13 slices; got {len(self.slices)}")
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
        """Return the configuration as one line of JSON; ``families.read_config`` reads it."""
        return json.dumps({"family": self.FAMILY, **dataclasses.asdict(self)}, separators=(",", ":"))
