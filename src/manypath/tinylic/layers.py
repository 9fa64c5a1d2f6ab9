"""What the published blocks are built from: attention, MLPs and predictors on normalised tokens."""

from __future__ import annotations

import functools
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from manypath.multipath.blocks import Kit
from manypath.multipath.layers import PIECE, Branch, PathMLP, pieces, piecewise
from manypath.multipath.routing import Predictor, Scope
from manypath.products import Linear
from manypath.tinylic import row_attention
from manypath.tinylic.attention import neighbourhood_attention

START = 0.02  # standard deviation of an untrained attention block; the published cut at 2 is 100 of them away


class NeighbourhoodMixer(Branch):
    """Normalise, attend to the window around each token with a bias per offset (MPA section 3.1)."""

    def __init__(self, channels: int, head: int, window: int) -> None:
        super().__init__()
        self.head = head
        self.window = window
        self.norm = nn.LayerNorm(channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.bias = nn.Parameter(torch.empty(channels // head, 2 * window - 1, 2 * window - 1))
        self.project = Linear(channels, channels)
        nn.init.normal_(self.bias, std=START)
        for layer in (self.qkv, self.project):
            nn.init.normal_(layer.weight, std=START)
            nn.init.zeros_(layer.bias)

    def hidden(self, x: Tensor) -> Tensor:
        """Everything before the last layer."""
        b, h, w, c = x.shape
        if piecewise(x) and not row_attention.refusal(x, c // self.head, self.window):
            made = [self._by_rows(own) for own in torch.split(x, 1)]
            return torch.cat(made) if len(made) > 1 else made[0]
        query, key, value = self._queries_keys_values(x).view(b, h, w, 3, -1, self.head).unbind(3)
        attended = neighbourhood_attention(query, key, value, self.bias, self.window)
        return attended.reshape(b, h, w, -1)

    def _by_rows(self, x: Tensor) -> Tensor:
        """Return what ``hidden`` does of [1, h, w, C], as a view of planes."""
        _, h, w, c = x.shape
        planes = x.new_empty(3 * c, h * w)
        for tokens, out in zip(pieces(x.reshape(-1, c)), torch.split(planes, PIECE, 1), strict=True):
            torch.addmm(self.qkv.bias[:, None], self.qkv.weight, self.norm(tokens).t(), out=out)
        made = row_attention.row_attention(planes.view(3, -1, self.head, h, w), self.bias)
        return made.view(1, c, h, w).permute(0, 2, 3, 1)

    def _queries_keys_values(self, x: Tensor) -> Tensor:
        """Return [B, h, w, 3C]."""
        if not piecewise(x):
            joint: Tensor = self.qkv(self.norm(x))
            return joint
        made = x.new_empty(*x.shape[:-1], self.qkv.out_features)
        for tokens, out in zip(pieces(x.reshape(-1, x.shape[-1])), pieces(made.flatten(0, -2)), strict=True):
            torch.addmm(self.qkv.bias, self.norm(tokens), self.qkv.weight.t(), out=out)
        return made


class NormedMLP(PathMLP):
    """The published MLP: normalised input, exact GELU, small random start."""

    LEAKY: ClassVar[bool] = False

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__(channels, hidden)
        self.norm = nn.LayerNorm(channels)
        for layer in (self.expand, self.project):
            nn.init.normal_(layer.weight, std=START)
            nn.init.zeros_(layer.bias)

    def hidden(self, x: Tensor, noise: Tensor | None = None) -> Tensor:
        """Everything before the last layer; no path of this family sees noise."""
        return F.gelu(self.expand(self.norm(x)))


class PicturePredictor(Predictor):
    """The published predictor: normalised input, exact GELU, a mean over the whole picture."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.norm = nn.LayerNorm(channels)
        for layer in (self.reduce, self.combine, self.score):
            nn.init.normal_(layer.weight, std=START)

    def forward(self, x: Tensor) -> Tensor:
        """Return the importance (a logit), [B, h, w], of tokens [B, h, w, C]."""
        local, pooled = F.gelu(self.reduce(self.norm(x))).chunk(2, dim=-1)
        pooled = pooled.mean(dim=(1, 2), keepdim=True).expand_as(local)
        logits: Tensor = self.score(F.gelu(self.combine(torch.cat((local, pooled), -1))))
        return logits[..., 0]


def published_kit(head: int, window: int) -> Kit:
    """Return the published kit."""
    mixer = functools.partial(NeighbourhoodMixer, head=head, window=window)
    return Kit(mixer, NormedMLP, PicturePredictor, Scope.PICTURE, skip=True)
