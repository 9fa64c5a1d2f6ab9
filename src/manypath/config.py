"""What a model is made of: a frozen, cross-checked description per family, and the presets."""

from __future__ import annotations

import dataclasses
import json
from typing import Any, ClassVar

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
PATTERNS = {"all": 1, "odd-even": 2, "even-odd": 2, "quarters": 4}  # spatial passes of a slice of the published context
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
        """Return the configuration as one line of JSON."""
        family = {} if self.FAMILY == EdgeConfig.FAMILY else {"family": self.FAMILY}  # older files name none
        return json.dumps({**family, **dataclasses.asdict(self)}, separators=(",", ":"))

    @staticmethod
    def from_json(text: str) -> ModelConfig:
        """Read what ``to_json`` wrote.

        Raises:
            ConfigError: not JSON, an unknown or a missing field, or fields that contradict each other.
        """
        try:
            fields: dict[str, Any] = dict(json.loads(text))
            family = fields.pop("family", EdgeConfig.FAMILY)
            if family not in FAMILIES:
                raise ConfigError(f"a model's family is one of {', '.join(FAMILIES)}; got {family!r}")
            kind = FAMILIES[family]
            known = {field.name for field in dataclasses.fields(kind)}
            if set(fields) - known:
                raise ConfigError(f"a model configuration has the fields {sorted(known)}; got {text[:200]!r}")
            for key, value in fields.items():
                if isinstance(value, list):
                    fields[key] = tuple(tuple(v) if isinstance(v, list) else v for v in value)
            return kind(**fields)
        except (ValueError, TypeError) as err:
            raise ConfigError(f"not a model configuration: {err}") from err


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
        patterns: how each slice's positions are shared out to passes, of ``PATTERNS``.
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
        if len(self.patterns) != len(self.slices) or not set(self.patterns) <= set(PATTERNS):
            raise ConfigError(f"patterns must name one of {', '.join(PATTERNS)} a slice; got {self.patterns}")


FAMILIES: dict[str, type[ModelConfig]] = {kind.FAMILY: kind for kind in (EdgeConfig, TinyLICConfig)}

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

PRESETS: dict[str, ModelConfig] = {config.name: config for config in (EDGE, EDGE_SMALL, TINY, TINYLIC, TINYLIC_TINY)}
