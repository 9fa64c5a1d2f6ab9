"""Multi-path blocks, and groups of blocks that share one choice of paths."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from manypath.config import ADAPTERS, NOISE_ADAPTERS
from manypath.levels import Gain
from manypath.multipath.joined import JoinedMLPs, Way
from manypath.multipath.layers import Branch, Layers, NamedLayers, PathMLP, pieces, piecewise, side_width
from manypath.multipath.noise import PLANES
from manypath.multipath.routing import (
    MAIN,
    Predictor,
    Route,
    Routing,
    Scope,
    Trace,
    level_shift,
    logistic_noise,
    route,
    soft_mask,
)
from manypath.products import linear


def _add_scaled(x: Tensor, hidden: Tensor, branch: Branch, gain: Tensor, *, own: bool = False) -> Tensor:
    """Return ``x + gain * branch.project(hidden)`` with gain [B, C]; a batch of one gain folds it into the weights.

    Args:
        x: tokens [B, h, w, C], which may be changed if they are the caller's ``own``.
        hidden: the same without the last layer.
        branch: whose last layer it is.
        gain: [B, C].
        own: see ``x``.
    """
    if gain.shape[0] == 1 and piecewise(x):
        weight, bias = branch.scaled(gain)
        out = x if own and x.is_contiguous() else torch.empty_like(x, memory_format=torch.contiguous_format)
        each = (tokens.reshape(-1, tokens.shape[-1]) for tokens in (x, hidden, out))
        for before, last, after in zip(*(pieces(tokens) for tokens in each), strict=True):
            torch.add(before, linear(last, weight, bias), out=after)
        return out
    shape = (-1,) + (1,) * (x.dim() - 2) + (x.shape[-1],)
    added: Tensor = x + gain.view(shape).to(x.dtype) * branch.project(hidden)
    return added


class Kit(NamedTuple):
    """What groups are built from: here the families of models differ.

    Attributes:
        mixer: makes one for so many channels.
        mlp: makes one for so many channels, so many of them hidden.
        predictor: makes one for so many channels.
        scope: which tokens compete for the main path.
        skip: whether a group adds its input to its output.
    """

    mixer: Callable[[int], Branch]
    mlp: Callable[[int, int], PathMLP]
    predictor: Callable[[int], Predictor]
    scope: Scope
    skip: bool


class Block(nn.Module):
    """``x + g1 * mixer(x)``, then ``x + g2 * mlp(x)`` with the MLP split into paths.

    The main path's MLP is ``main_mlp``; a side of an adapter's shape adds to it, any other side stands alone. Tokens
    may be of more bits than the weights: products are then in the weights' type, and only their sum is in the tokens'.
    A side may see planes of noise, [B, h, w, P]; the main path sees none.
    """

    def __init__(self, channels: int, kit: Kit, sides: dict[str, str]) -> None:
        super().__init__()
        self.mixer = kit.mixer(channels)
        self.main_mlp = kit.mlp(channels, 2 * channels)
        self.side_mlps: NamedLayers[PathMLP] = NamedLayers(
            {name: kit.mlp(channels, side_width(shape, channels)) for name, shape in sides.items()}
        )
        for name, shape in sides.items():
            if shape in NOISE_ADAPTERS:
                self.side_mlps[name].see_noise(PLANES)
        self.adapters = {name for name, shape in sides.items() if shape in ADAPTERS}
        self._joined: dict[str, JoinedMLPs] = {}  # by path
        self.mixer_gain = Gain(channels)
        self.mlp_gain = Gain(channels)

    def mix(self, x: Tensor, code: Tensor, rounded: Tensor | None = None, *, own: bool = False) -> Tensor:
        """The block's first half, [B, h, w, C].

        Args:
            x: tokens [B, h, w, C], which may be changed if they are the caller's ``own``.
            code: quality codes, int64 [B], or [1] for all.
            rounded: the tokens in the weights' type, where somebody has made them already.
            own: see ``x``.
        """
        hidden = self.mixer.hidden(x.to(self.mixer.project.weight.dtype) if rounded is None else rounded)
        return _add_scaled(x, hidden, self.mixer, self.mixer_gain(code), own=own)

    def one_path(
        self, x: Tensor, code: Tensor, name: str, planes: Tensor | None = None, *, own: bool = False
    ) -> Tensor:
        """All tokens on one path; they may be changed if they are the caller's ``own``."""
        return self._add_path(self.mix(x, code, own=own), self.mlp_gain(code), name, planes)

    def routed(
        self,
        x: Tensor,
        code: Tensor,
        name: str,
        chosen: Route,
        planes: Tensor | None = None,
        *,
        rounded: Tensor | None = None,
        own: bool = False,
    ) -> Tensor:
        """Each token on the path that ``chosen`` gives it. For one gain per batch (inference); see ``mix``."""
        x = self.mix(x, code, rounded, own=own)
        gain = self.mlp_gain(code)
        flat = x.reshape(-1, x.shape[-1])
        noise = None if planes is None else planes.reshape(-1, planes.shape[-1])
        if _in_place(flat, gain):
            self._add_routed_in_place(flat, gain, name, chosen, noise)
            return flat.view(x.shape)
        out = torch.empty_like(flat)
        for path, index in ((MAIN, chosen.main), (name, chosen.side)):
            grain = None if noise is None else noise.index_select(0, index)
            out.index_copy_(0, index, self._add_path(flat.index_select(0, index), gain, path, grain))
        return out.view(x.shape)

    def blended(self, x: Tensor, code: Tensor, name: str, mask: Tensor, planes: Tensor | None = None) -> Tensor:
        """Both paths on all tokens, the mask [B, h, w, 1] choosing. For training."""
        x = self.mix(x, code)
        gain = self.mlp_gain(code)[:, None, None, :].to(x.dtype)
        own = self.side_mlps[name]
        main, side = self.main_mlp(x), own.project(own.hidden(x, planes))
        if name in self.adapters:
            side = main + side
        out: Tensor = x + gain * (side + mask * (main - side))
        return out

    def _add_path(self, x: Tensor, gain: Tensor, name: str, noise: Tensor | None = None) -> Tensor:
        """Return tokens [..., C] plus what a path makes of them and of noise [..., P]; ``x`` must be a fresh result."""
        if _in_place(x, gain):
            flat = None if noise is None else noise.reshape(-1, noise.shape[-1])
            return self._add_path_in_place(x, gain, name, flat)
        out = x
        for mlp in self._mlps(name):
            out = _add_scaled(out, mlp.hidden(x.to(mlp.expand.weight.dtype), noise), mlp, gain)
        return out

    def _mlps(self, name: str) -> list[PathMLP]:
        """Return the MLPs whose sum a path is."""
        if name == MAIN:
            return [self.main_mlp]
        side = self.side_mlps[name]
        return [self.main_mlp, side] if name in self.adapters else [side]

    def _add_path_in_place(self, x: Tensor, gain: Tensor, name: str, noise: Tensor | None) -> Tensor:
        """The same in pieces that stay in a core's own cache: about a tenth faster, and no hidden layer to allocate.

        Args:
            x: tokens [..., C], changed.
            gain: [1, C].
            name: of the path.
            noise: [tokens, P] of all tokens, for a path that sees any.
        """
        way = self._way(gain, name, noise)
        cut = pieces(x.view(-1, x.shape[-1]))
        grains: Sequence[Tensor | None] = [None] * len(cut) if noise is None else pieces(noise)
        for piece, grain in zip(cut, grains, strict=True):
            piece.add_(way(piece, grain))
        return x

    def _add_routed_in_place(self, x: Tensor, gain: Tensor, name: str, chosen: Route, noise: Tensor | None) -> None:
        """Add to tokens [N, C] what each one's own path makes of it.

        Tokens are gathered once, each path's together, and what is added is gathered back: rows are read several times
        faster than they are scattered.
        """
        rounded = x.to(self.main_mlp.expand.weight.dtype)
        made: list[Tensor] = []
        for path, index in ((MAIN, chosen.main), (name, chosen.side)):
            way = self._way(gain, path, noise)
            for at in pieces(index):
                grain = None if noise is None else noise.index_select(0, at)
                made.append(way(rounded.index_select(0, at), grain))
        added = torch.cat(made)
        for piece, at in zip(pieces(x), pieces(chosen.back), strict=True):
            piece.add_(added.index_select(0, at))

    def _way(self, gain: Tensor, name: str, noise: Tensor | None) -> Way:
        """Return what a path adds, with a gain [1, C], to tokens with noise or without."""
        mlps = self._mlps(name)
        return self._joined.setdefault(name, JoinedMLPs()).way(mlps, gain, noisy=noise is not None)


def _in_place(x: Tensor, gain: Tensor) -> bool:
    """Whether tokens may be changed piece by piece: on a CPU, with one gain for all, where no gradient is wanted."""
    return x.device.type == "cpu" and gain.shape[0] == 1 and piecewise(x)


class Group(nn.Module):
    """Blocks that share one choice of paths, and the predictors that make it, one per side path."""

    def __init__(self, channels: int, depth: int, kit: Kit, sides: dict[str, str]) -> None:
        super().__init__()
        self.blocks: Layers[Block] = Layers(Block(channels, kit, sides) for _ in range(depth))
        self.predictors: NamedLayers[Predictor] = NamedLayers({name: kit.predictor(channels) for name in sides})
        self.scope = kit.scope
        self.skip = kit.skip

    def forward(
        self, x: Tensor, code: Tensor, routing: Routing | None, trace: Trace | None, *, own: bool = False
    ) -> Tensor:
        """Transform [B, h, w, C], which may be changed if they are the caller's ``own``.

        Without routing every token takes the main path.
        """
        out = self._transform(x, code, routing, trace, own=own and not self.skip)
        return x + out if self.skip else out

    def _transform(self, x: Tensor, code: Tensor, routing: Routing | None, trace: Trace | None, *, own: bool) -> Tensor:
        if routing is None or routing.side not in self.predictors:
            return self._one_path(x, code, MAIN, own=own)
        predictor = self.predictors[routing.side]
        if routing.exact:
            return self._exact(x, code, routing, predictor, trace, own=own)
        importance = predictor(x)
        noise = routing.noise * logistic_noise(importance) if routing.noise else None
        level = code if routing.level is None else routing.level
        mask, soft = soft_mask(importance, routing.share, level_shift(predictor, level), noise, self.scope)
        if trace is not None:
            trace.importance.append(importance)
            trace.soft_share.append(soft.mean(dim=(1, 2)))
        for block in self.blocks:
            x = block.blended(x, code, routing.side, mask[..., None], routing.planes)
        return x

    def _exact(
        self, x: Tensor, code: Tensor, routing: Routing, predictor: Predictor, trace: Trace | None, *, own: bool
    ) -> Tensor:
        share = float(routing.share.reshape(-1)[0])
        tokens = x.shape[1] * x.shape[2]
        main_tokens = self.scope.quota(share, tokens)
        mixed = 0 < main_tokens < self.scope.quota(1.0, tokens)
        rounded = x.to(predictor.reduce.weight.dtype)
        importance = predictor(rounded) if mixed or trace is not None else None
        if trace is not None and importance is not None:
            trace.importance.append(importance)
        if not mixed or importance is None:
            return self._one_path(x, code, MAIN if main_tokens else routing.side, routing.planes, own=own)
        chosen = route(importance, share, self.scope)
        for number, block in enumerate(self.blocks):
            first = rounded if number == 0 else None
            x = block.routed(x, code, routing.side, chosen, routing.planes, rounded=first, own=own or number > 0)
        return x

    def _one_path(self, x: Tensor, code: Tensor, name: str, planes: Tensor | None = None, *, own: bool) -> Tensor:
        for number, block in enumerate(self.blocks):
            x = block.one_path(x, code, name, planes, own=own or number > 0)
        return x
