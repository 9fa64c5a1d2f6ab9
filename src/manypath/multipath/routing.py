"""Routing: a predictor ranks tokens, the main path and a side path share them out."""

from __future__ import annotations

import enum
from typing import NamedTuple

import torch
from torch import Tensor, nn

from manypath.geometry import TOKEN_PIXELS, WINDOW_PIXELS
from manypath.image import from_tokens, to_tokens
from manypath.levels import interpolate
from manypath.multipath.layers import SLOPE
from manypath.products import Linear
from manypath.quality import LEVELS

MAIN = "main"
LOW = "low"  # the analysis' cheap path, for what needs few bits


class Routing(NamedTuple):
    """How a transform is asked to route.

    Attributes:
        side: name of the side path that takes what the main path does not.
        share: float [B], of tokens on the main path.
        exact: exact top-k as at test time (one share for the whole batch), else the training's soft mask.
        noise: how much to explore in training, 0 for not at all, 1 on the published scale.
        level: int64 [B], where the training's threshold is looked up, as a quality code; None: at the quality.
        planes: noise [B, h, w, P] for a side that sees any (``noise.noise_planes``); None: it sees none.
    """

    side: str
    share: Tensor
    exact: bool
    noise: float = 0.0
    level: Tensor | None = None
    planes: Tensor | None = None


class Trace(NamedTuple):
    """What a transform can show of its routing, per group: the importance [B, h, w] and the soft share [B]."""

    importance: list[Tensor]
    soft_share: list[Tensor]


WINDOW = WINDOW_PIXELS // TOKEN_PIXELS  # tokens on a window's side
WINDOW_TOKENS = WINDOW * WINDOW


class Predictor(nn.Module):
    """One importance per token: high means the main path pays off there."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        width = channels // 4
        self.reduce = Linear(channels, width)
        self.combine = Linear(width, channels // 16)
        self.score = Linear(channels // 16, 1, bias=False)
        self.shift = nn.Parameter(torch.zeros(LEVELS))  # training only: where the threshold lies per level

    def forward(self, x: Tensor) -> Tensor:
        """Return the importance (a logit), [B, h, w], of tokens [B, h, w, C]; h and w are multiples of 8."""
        b, h, w, _ = x.shape
        reduced = self.reduce.rectified(x.to(self.reduce.weight.dtype), SLOPE)
        local, pooled = reduced.chunk(2, dim=-1)
        windows = pooled.view(b, h // WINDOW, WINDOW, w // WINDOW, WINDOW, -1)
        means = windows.mean(dim=(2, 4), keepdim=True)
        if torch.is_grad_enabled():
            reduced = torch.cat((local, means.expand_as(windows).reshape(pooled.shape)), -1)
        else:
            windows.copy_(means)  # in its place
        logits: Tensor = self.score(self.combine.rectified(reduced, SLOPE))
        return logits[..., 0]


class Scope(enum.Enum):
    """Which tokens compete for the main path."""

    WINDOW = "window"  # those of one window of 8x8
    PICTURE = "picture"  # all

    def ranks(self, importance: Tensor) -> Tensor:
        """Rank each token among its competitors, 0 = most important, ties in reading order: [B, h, w] int64."""
        if self is Scope.WINDOW:
            return from_tokens(_ranks(to_tokens(importance[..., None], WINDOW)), WINDOW)[..., 0]
        return _ranks(importance.flatten(1)).view(importance.shape)

    def most_important(self, importance: Tensor, count: int) -> Tensor:
        """Return which tokens rank below ``count`` among their competitors: bool [B, h, w].

        Whole numbers rise with the importance and, among equals, fall with the place, so that no two are equal: one of
        them parts the tokens, and nothing has to be sorted. NaNs are equals above all numbers, as they are to a sort.
        """
        windows = self is Scope.WINDOW
        competitors = to_tokens(importance[..., None], WINDOW) if windows else importance.flatten(1)
        tokens = competitors.shape[-1]
        if not 0 < count < tokens:
            return torch.full_like(importance, count > 0, dtype=torch.bool)
        values = competitors.float().add(0.0)  # of which -0 is 0
        values.nan_to_num_(torch.nan, torch.inf, -torch.inf)  # of which all NaNs are one, the largest
        bits = values.view(torch.int32)
        rising = (bits ^ ((bits >> 31) & 0x7FFFFFFF)).long() * tokens
        keys = rising.sub_(torch.arange(tokens, device=rising.device))
        taken = keys >= _smallest(keys, tokens - count)
        return from_tokens(taken, WINDOW)[..., 0] if windows else taken.view(importance.shape)

    def quota(self, share: float, tokens: int) -> int:
        """Return how many competitors take the main path on a grid of ``tokens``."""
        return round(WINDOW_TOKENS * share) if self is Scope.WINDOW else int(tokens * share)

    def quotas(self, share: Tensor, tokens: int) -> Tensor:
        """Return ``quota`` of each share."""
        return torch.round(WINDOW_TOKENS * share) if self is Scope.WINDOW else torch.floor(tokens * share)


def _smallest(keys: Tensor, place: int) -> Tensor:
    """Return the number that so many of the last axis are smaller than, [..., 1]."""
    if keys.device.type == "cpu":
        return torch.kthvalue(keys, place + 1, dim=-1, keepdim=True).values
    return keys.sort(dim=-1).values[..., place, None]  # CUDA's kthvalue refuses where PyTorch is to be deterministic


def _ranks(competitors: Tensor) -> Tensor:
    """Rank along the last axis, the largest first: int64."""
    order = torch.argsort(competitors, dim=-1, descending=True, stable=True)
    places = torch.arange(competitors.shape[-1], device=order.device).expand_as(order)
    return torch.empty_like(order).scatter_(-1, order, places)


class Route(NamedTuple):
    """Which tokens of the flattened [B*h*w] take which path: two int64 index vectors, and the way back.

    Attributes:
        main: tokens of the main path, in reading order.
        side: tokens of the side path, in reading order.
        back: for each token, in reading order, its place in ``main`` followed by ``side``: int64 [B*h*w].
    """

    main: Tensor
    side: Tensor
    back: Tensor


def quota(share: float) -> int:
    """Return how many of a window's 64 tokens take the main path."""
    return Scope.WINDOW.quota(share, WINDOW_TOKENS)


def route(importance: Tensor, share: float, scope: Scope = Scope.WINDOW) -> Route:
    """Choose paths at test time: of each picture or window exactly the scope's quota takes the main path.

    Args:
        importance: float [B, h, w]; for windows, h and w are multiples of 8.
        share: of tokens on the main path, in [0, 1].
        scope: which tokens compete.
    """
    tokens = importance.shape[1] * importance.shape[2]
    taken = scope.most_important(importance, scope.quota(share, tokens)).flatten()
    main, side = taken.nonzero()[:, 0], (~taken).nonzero()[:, 0]
    order = torch.cat((main, side))
    back = torch.empty_like(order).scatter_(0, order, torch.arange(len(order), device=order.device))
    return Route(main, side, back)


def soft_mask(
    importance: Tensor, share: Tensor, shift: Tensor, noise: Tensor | None, scope: Scope = Scope.WINDOW
) -> tuple[Tensor, Tensor]:
    """Choose paths in training: the same exact choice forward, a sigmoid's gradient backward.

    Args:
        importance: float [B, h, w].
        share: float [B], each sample's share of tokens on the main path.
        shift: float [B], each sample's learned threshold, added before the sigmoid only.
        noise: float [B, h, w] added to the importance before ranking (exploration), or None.
        scope: which tokens compete.

    Returns:
        The mask, float [B, h, w], 1 where main (straight-through), and the sigmoid it stands on, whose mean
        the ratio loss pulls to the share.
    """
    noisy = importance if noise is None else importance + noise
    counts = scope.quotas(share, importance.shape[1] * importance.shape[2])[:, None, None]
    hard = (scope.ranks(noisy.detach()) < counts).to(importance.dtype)
    soft = torch.sigmoid(noisy + shift[:, None, None])
    return hard + soft - soft.detach(), soft


def logistic_noise(like: Tensor) -> Tensor:
    """Return the difference of two Gumbel noises, as MPA's training adds to the logits."""
    uniform = torch.rand_like(like).clamp_(1e-6, 1 - 1e-6)
    return torch.log(uniform) - torch.log1p(-uniform)


def level_shift(predictor: Predictor, code: Tensor) -> Tensor:
    """Return the predictor's shift, [B], linearly interpolated at quality codes int64 [B]."""
    # 10: lets the threshold move faster than the scores (the paper multiplies by 100 at a tenth of our rate)
    return 10.0 * interpolate(predictor.shift, code)


def main_share(quality: Tensor) -> Tensor:
    """Return rho_enc, the share of tokens on the analysis' main path.

    Source: MPA section 3.2: (5^((q-1)/7) - 1) / 4, from 0 at quality 1 to 1 at quality 8.
    """
    return (torch.pow(5.0, (quality - 1.0) / (LEVELS - 1)) - 1.0) / 4.0
