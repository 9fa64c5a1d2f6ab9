"""Multi-path aggregation: a predictor ranks tokens, a main and side MLPs share them out.

Source: MPA section 3.2 and 3.3. Routing is local here: in each window of 8x8 tokens the ``round(64 * share)``
most important tokens take the main path, so shapes are fixed, cost falls with the share, and a band of a
picture routes as the whole picture does.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from manypath.config import LEVELS, QUALITY_STEPS, SIDE_WIDTHS, TOKEN_PIXELS, WINDOW_PIXELS
from manypath.errors import ConfigError
from manypath.image import from_tokens, to_tokens
from manypath.mixers import leaky

WINDOW = WINDOW_PIXELS // TOKEN_PIXELS  # tokens on a window's side
WINDOW_TOKENS = WINDOW * WINDOW


class PathMLP(nn.Module):
    """Two linear layers, C -> hidden -> C. Starts as zero."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.expand = nn.Linear(channels, hidden)
        self.project = nn.Linear(hidden, channels)
        nn.init.zeros_(self.project.weight)
        nn.init.zeros_(self.project.bias)

    def hidden(self, x: Tensor) -> Tensor:
        """Everything before the last layer."""
        return leaky(self.expand(x))

    def forward(self, x: Tensor) -> Tensor:
        """Transform [..., C]."""
        out: Tensor = self.project(self.hidden(x))
        return out


def make_side(shape: str, channels: int) -> PathMLP:
    """Return a side MLP: ``inverted`` is as wide as the main path's, the others narrower (``config.SIDE_WIDTHS``).

    Raises:
        ConfigError: no such shape.
    """
    if shape not in SIDE_WIDTHS:
        raise ConfigError(f"no side MLP has the shape {shape!r}")
    return PathMLP(channels, int(channels * SIDE_WIDTHS[shape]))


class Predictor(nn.Module):
    """One importance per token: high means the main path pays off there."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        width = channels // 4
        self.reduce = nn.Linear(channels, width)
        self.combine = nn.Linear(width, channels // 16)
        self.score = nn.Linear(channels // 16, 1, bias=False)
        self.shift = nn.Parameter(torch.zeros(LEVELS))  # training only: where the threshold lies per level

    def forward(self, x: Tensor) -> Tensor:
        """Return the importance (a logit), [B, h, w], of tokens [B, h, w, C]; h and w are multiples of 8."""
        b, h, w, _ = x.shape
        local, pooled = leaky(self.reduce(x)).chunk(2, dim=-1)
        windows = pooled.reshape(b, h // WINDOW, WINDOW, w // WINDOW, WINDOW, -1)
        pooled = windows.mean(dim=(2, 4), keepdim=True).expand_as(windows).reshape(pooled.shape)
        logits: Tensor = self.score(leaky(self.combine(torch.cat((local, pooled), -1))))
        return logits[..., 0]


class Route(NamedTuple):
    """Which tokens of the flattened [B*h*w] take which path: two int64 index vectors."""

    main: Tensor
    side: Tensor


def quota(share: float) -> int:
    """Return how many of a window's 64 tokens take the main path."""
    return round(WINDOW_TOKENS * share)


def _ranks(importance: Tensor) -> Tensor:
    """Rank each token in its window, 0 = most important, ties in reading order: [B, h, w] int64."""
    windows = to_tokens(importance[..., None], WINDOW)  # [B, h/8, w/8, 64]
    order = torch.argsort(windows, dim=-1, descending=True, stable=True)
    ranks = torch.empty_like(order).scatter_(
        -1, order, torch.arange(WINDOW_TOKENS, device=order.device).expand_as(order)
    )
    return from_tokens(ranks, WINDOW)[..., 0]


def route(importance: Tensor, share: float) -> Route:
    """Choose paths at test time: exactly ``quota(share)`` tokens of each window take the main path.

    Args:
        importance: float [B, h, w], h and w multiples of 8.
        share: of tokens on the main path, in [0, 1].
    """
    main = (_ranks(importance) < quota(share)).flatten()
    return Route(main.nonzero()[:, 0], (~main).nonzero()[:, 0])


def soft_mask(importance: Tensor, share: Tensor, shift: Tensor, noise: Tensor | None) -> tuple[Tensor, Tensor]:
    """Choose paths in training: the same exact choice forward, a sigmoid's gradient backward.

    Args:
        importance: float [B, h, w].
        share: float [B], each sample's share of tokens on the main path.
        shift: float [B], each sample's learned threshold, added before the sigmoid only.
        noise: float [B, h, w] added to the importance before ranking (exploration), or None.

    Returns:
        The mask, float [B, h, w], 1 where main (straight-through), and the sigmoid it stands on, whose mean
        the ratio loss pulls to the share.
    """
    noisy = importance if noise is None else importance + noise
    counts = torch.round(WINDOW_TOKENS * share)[:, None, None]
    hard = (_ranks(noisy.detach()) < counts).to(importance.dtype)
    soft = torch.sigmoid(noisy + shift[:, None, None])
    return hard + soft - soft.detach(), soft


def logistic_noise(like: Tensor) -> Tensor:
    """Return the difference of two Gumbel noises, as MPA's training adds to the logits."""
    uniform = torch.rand_like(like).clamp_(1e-6, 1 - 1e-6)
    return torch.log(uniform) - torch.log1p(-uniform)


def level_shift(predictor: Predictor, code: Tensor) -> Tensor:
    """Return the predictor's shift, [B], linearly interpolated at quality codes int64 [B]."""
    position = code.to(predictor.shift.dtype) / QUALITY_STEPS
    low = position.floor().clamp(0, LEVELS - 2)
    index = low.long()
    # 10: lets the threshold move faster than the scores (the paper multiplies by 100 at a tenth of our rate)
    return 10.0 * torch.lerp(predictor.shift[index], predictor.shift[index + 1], position - low)
