"""The interface of a family of models: what the codec, training and analysis ask of a network, and what all share.

::

    x -> g_a -> y -> h_a -> * hyper_gain -> round -> z_hat -> h_s -> features
                |                                                      |
                +--- * gain ---------------------> walk <--------------+
                                                    |
                        x_hat <- g_s <- * inverse_gain <- refined <- y_hat

A family adds its transforms g_a and g_s, its hyper-transforms h_a and h_s, and its context model; ``families`` knows
them by name.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from manypath.config import NOISE_ADAPTERS, ModelConfig
from manypath.entropy.rounding import round_through
from manypath.entropy.schedule import Step, Visitor
from manypath.entropy.tables import SCALE_MIN, Tables
from manypath.errors import CheckpointError
from manypath.geometry import TOKEN_PIXELS
from manypath.image import as_bytes, as_floats
from manypath.levels import Gain
from manypath.multipath.blocks import Group
from manypath.multipath.layers import Layers
from manypath.multipath.noise import noise_planes
from manypath.multipath.routing import LOW, Routing, Trace, main_share
from manypath.quality import QUALITY_STEPS

Rate = Callable[[Step, Tensor, Tensor, Tensor], None]
"""Told (step, y, means, standard deviations) at each step; training's rate model adds up bits from it."""


@contextmanager
def own_defaults() -> Iterator[None]:
    """Make tensors as float32 on the CPU, whatever the process has set as its defaults. Not for two threads at once."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        with torch.device("cpu"):
            yield
    finally:
        torch.set_default_dtype(before)


class Latents(NamedTuple):
    """What the analysis and the estimate give.

    Attributes:
        y: float [B, h, w, M], before the gain.
        z: float [B, h/4, w/4, K], after the hyper gain, before rounding.
        y_hat: float32 [B, h, w, M], in the gained domain, refined for the synthesis.
        trace: the analysis' routing.
    """

    y: Tensor
    z: Tensor
    y_hat: Tensor
    trace: Trace


class ModelOutput(NamedTuple):
    """What one pass gives: x_hat, float [B, H, W, 3], not clamped, and what ``Latents`` holds."""

    x_hat: Tensor
    y: Tensor
    z: Tensor
    y_hat: Tensor
    trace: Trace


class StoredLayer(nn.Module, abc.ABC):
    """A layer of the entropy part that a released checkpoint holds as integers, or in another exact form.

    Attributes:
        STORED: names of what it stores.
    """

    STORED: ClassVar[tuple[str, ...]]

    @abc.abstractmethod
    def stored(self) -> dict[str, Tensor]:
        """Return what a released checkpoint holds, by the names in ``STORED``."""

    @abc.abstractmethod
    def load_stored(self, *args: Any, **stored: Any) -> None:
        """Take what ``stored`` returned, by the names in ``STORED``.

        Raises:
            CheckpointError: another shape, or values that cannot be exact.
        """


def within(integers: Tensor, most: int) -> bool:
    """Whether whole numbers lie in -most..most; right of a type's least number, too, whose magnitude it cannot hold."""
    return int(integers.min()) >= -most and int(integers.max()) <= most


class Transform(nn.Module):
    """Groups of multi-path blocks, and what lies between them; ``g_a`` of [B, H, W, 3] and ``g_s`` of [B, h, w, M].

    Attributes:
        groups: those whose blocks have paths.
    """

    groups: Layers[Group]


class AnalysisTransform(Transform):
    """A transform of pictures."""

    def of_pixels(self, pixels: Tensor, code: Tensor, routing: Routing, trace: Trace | None = None) -> Tensor:
        """Return y, before the gain, of uint8 [B, H, W, 3]; the transform itself takes floats in [0, 1]."""
        y: Tensor = self(as_floats(pixels), code, routing, trace)
        return y


class SynthesisTransform(Transform, abc.ABC):
    """A transform whose paths begin after a part that all have in common."""

    def to_pixels(self, shared: Any, code: Tensor, routing: Routing | None, trace: Trace | None = None) -> Tensor:
        """Return one path's picture as uint8 [B, 16h, 16w, 3], clamped and rounded to nearest."""
        return as_bytes(self(shared, code, routing, trace).float().mul(255.0))

    @abc.abstractmethod
    def shared(self, y: Tensor, code: Tensor) -> Any:
        """Return what all paths have in common, of y_hat after the inverse gain; the transform goes on from there."""


class Network(nn.Module, abc.ABC):
    """A codec network with several paths (MPA, arXiv 2409.19660); each family of models is a subclass.

    Attributes:
        SKIPS: whether symbols of the smallest scale are zero by agreement and cost nothing.
        CODES_PADDING: whether latents that hold no picture are coded as they are, and not as zeros.
        ONE_THREAD_POSITIONS: up to so many latent positions the entropy networks are quicker on one thread.
        HYPER_BOUND: |z_hat| is at most this.
        STORED_DTYPE: of what a released checkpoint holds as floats.
        ROUNDS_WELL: whether transforms in bfloat16 lose next to nothing.
        MOST_EFFORT: that an encoder can spend on its latents.
        reaches: margins, in pixels, that the analysis and the synthesis of a strip want around it.
        exact: whether the entropy parameters are integers, equal on every machine and in every batch.
    """

    SKIPS: ClassVar[bool]
    CODES_PADDING: ClassVar[bool]
    ONE_THREAD_POSITIONS: ClassVar[int]
    HYPER_BOUND: ClassVar[int]
    STORED_DTYPE: ClassVar[torch.dtype]
    ROUNDS_WELL: ClassVar[bool]
    MOST_EFFORT: ClassVar[int] = 0

    config: ModelConfig
    reaches: tuple[int, int]
    exact: bool
    g_a: AnalysisTransform
    g_s: SynthesisTransform
    h_a: nn.Module
    h_s: nn.Module
    context: nn.Module

    def _add_gains(self) -> None:
        """Make the gains; the last thing that a family's ``__init__`` does, so that its own parts are drawn first."""
        self.gain = Gain(self.config.latent_channels)
        self.inverse_gain = Gain(self.config.latent_channels)
        self.hyper_gain = Gain(self.config.hyper_channels)

    # -- what a family answers --------------------------------------------------------------------------------

    @abc.abstractmethod
    def hyper_latent(self, y: Tensor, code: Tensor) -> Tensor:
        """Return z [B, h/4, w/4, K], after the hyper gain, of y before its gain."""

    @abc.abstractmethod
    def walk(self, features: Tensor, code: Tensor, visit: Visitor) -> Tensor:
        """Visit each step of the schedule in order and return y_hat, float32 [B, h, w, M], in the gained domain.

        Args:
            features: of ``h_s``, [B, h, w, F].
            code: quality codes, int64 [B], or [1] for all.
            visit: turns means and scale indexes into y_hat at the step's positions.
        """

    @abc.abstractmethod
    def walk_scales(self, features: Tensor, code: Tensor, visit: Visitor) -> Tensor:
        """Walk as ``walk`` does, with standard deviations in place of their indexes, and with gradients to them."""

    @abc.abstractmethod
    def latent_tables(self) -> Tables:
        """Return the probability tables of the latent, one per scale index."""

    @abc.abstractmethod
    def randomise(self) -> Tables:
        """Give an untrained network something to do, for tests; return tables of its hyper-latent."""

    def refined(self, y_hat: Tensor, features: Tensor) -> Tensor:
        """Return y_hat as the synthesis wants it. It changes pictures and no symbol, so it may be a float.

        Where no gradient is wanted, y_hat may be changed in place.
        """
        return y_hat

    def hyper_table_sets(self) -> int:
        """Return how many sets of tables the hyper-latent has, of one table a channel each."""
        return 1

    def hyper_table_set(self, code: int) -> int:
        """Return which set serves a quality code."""
        return 0

    def set_transform_dtype(self, dtype: torch.dtype) -> None:
        """Let the transforms compute in ``dtype``; the entropy part never does."""
        self.g_a.to(dtype)
        self.g_s.to(dtype)

    # -- what all share ---------------------------------------------------------------------------------------

    def codes(self, code: int) -> Tensor:
        """Return a quality code for a whole batch, int64 [1], on the network's device."""
        return torch.full((1,), code, dtype=torch.int64, device=self.gain.log2.device)

    def sees_noise(self, side: str) -> bool:
        """Whether a side path sees planes of seeded noise."""
        return dict(self.config.sides)[side] in NOISE_ADAPTERS

    def with_noise(self, routing: Routing, seeds: Sequence[int], top: int, height: int, width: int) -> Routing:
        """Return a routing with the noise that its side sees, if any, of so many pixels.

        Args:
            routing: of a synthesis.
            seeds: uint32, one a picture.
            top: first row of pixels from the top of the picture, a multiple of 8.
            height: pixels, a multiple of 8.
            width: pixels, a multiple of 8.
        """
        if not self.sees_noise(routing.side):
            return routing
        places = (side // TOKEN_PIXELS for side in (top, height, width))
        return routing._replace(planes=noise_planes(seeds, *places).to(self.gain.log2.device))

    def analysis_routing(self, code: Tensor, *, exact: bool, noise: float = 0.0) -> Routing:
        """Return how the analysis routes at quality codes int64 [B] (MPA section 3.2, rho_enc)."""
        share = main_share(1.0 + code.double() / QUALITY_STEPS)
        return Routing(LOW, share if exact else share.float(), exact, noise)

    def hyper_symbols(self, z: Tensor) -> Tensor:
        """Return z_hat: whole numbers, at most ``HYPER_BOUND`` in magnitude."""
        symbols: Tensor = self.h_s.symbols(z)  # type: ignore[operator]
        return symbols

    def latents(self, x: Tensor, code: Tensor, rate: Rate | None = None, noise: float = 0.0) -> Latents:
        """Run analysis and estimate.

        Args:
            x: float32 [B, H, W, 3] in [0, 1], sides multiples of 64.
            code: quality codes, int64 [B].
            rate: told each step's values.
            noise: how much routes are explored (training).
        """
        trace = Trace([], [])
        y = self.g_a(x, code, self.analysis_routing(code, exact=False, noise=noise), trace)
        with torch.autocast(x.device.type, enabled=False):
            y = y.float()
            z = self.hyper_latent(y, code)
            features = self.h_s(self.hyper_symbols(z), code)
            gained = (y * self.gain(code)[:, None, None]).flatten(1, 2)

            def visit(step: Step, where: Tensor, means: Tensor, scales: Tensor) -> Tensor:
                own = gained[:, where, step.start : step.start + step.width]
                if rate is not None:
                    rate(step, own, means, scales)
                return means + round_through(own - means, scales > SCALE_MIN if self.SKIPS else None)

            return Latents(y, z, self.refined(self.walk_scales(features, code, visit), features), trace)

    def shared_tokens(self, y_hat: Tensor, code: Tensor) -> Any:
        """Return what all paths of the synthesis have in common, of y_hat as refined."""
        with torch.autocast(y_hat.device.type, enabled=False):
            scaled = y_hat * self.inverse_gain(code)[:, None, None]
        return self.g_s.shared(scaled, code)

    def forward(self, x: Tensor, code: Tensor, rate: Rate | None = None, noise: float = 0.0) -> ModelOutput:
        """Run analysis, estimate and synthesis on the main path; the arguments are those of ``latents``."""
        made = self.latents(x, code, rate, noise)
        return ModelOutput(self.g_s(self.shared_tokens(made.y_hat, code), code, None), *made)

    # -- released checkpoints ---------------------------------------------------------------------------------

    def stored(self) -> dict[str, Tensor]:
        """Return what a released checkpoint holds of the network."""
        layers = self._stored_layers()
        tensors = {f"{name}.{key}": value for name, layer in layers.items() for key, value in layer.stored().items()}
        for name, parameter in self._plain(layers):
            tensors[name] = parameter if name.endswith(".log2") else parameter.to(self.STORED_DTYPE)
        return tensors

    @torch.no_grad()
    def load_stored(self, take: Callable[[str], Tensor]) -> None:
        """Fill the network and freeze it.

        Args:
            take: returns a tensor of a released checkpoint by its name.

        Raises:
            CheckpointError: a tensor is missing, has another shape, or values that are not allowed.
        """
        layers = self._stored_layers()
        for name, layer in layers.items():
            layer.load_stored(**{key: take(f"{name}.{key}") for key in layer.STORED})
        for name, parameter in self._plain(layers):
            value = take(name)
            if value.shape != parameter.shape:
                raise CheckpointError(f"{name}: expected {list(parameter.shape)}, got {list(value.shape)}")
            if not bool(torch.isfinite(value).all()):
                raise CheckpointError(f"{name} holds values that are not finite; train or export it again")
            parameter.copy_(value)
        self.eval().requires_grad_(False)

    def _stored_layers(self) -> dict[str, StoredLayer]:
        return {name: module for name, module in self.named_modules() if isinstance(module, StoredLayer)}

    def _plain(self, layers: dict[str, StoredLayer]) -> list[tuple[str, Tensor]]:
        """Return what is in no stored layer."""
        inside = tuple(f"{name}." for name in layers)
        return [(name, value) for name, value in self.state_dict().items() if not name.startswith(inside)]
