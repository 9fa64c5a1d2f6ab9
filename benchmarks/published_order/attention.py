"""Neighbourhood attention as a straightforward port has it: tiles of 8x8 queries, gathered keys, all at once."""

from __future__ import annotations

import functools
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

TILE = 8


class _Plan(NamedTuple):
    """Where tiles look.

    Attributes:
        rows: of each row of tiles the keys' rows, int64 [R, kh].
        columns: of each column of tiles the keys' columns, int64 [C, kw].
        queries: flattened places of the queries, int64 [R * C, TILE^2]; tiles at the end are moved inward.
        kinds: places in the bias table of each kind of tile, int64 [kinds, TILE^2, kh * kw]; its end is no sight.
        kind: of each tile, int64 [R * C].
    """

    rows: Tensor
    columns: Tensor
    queries: Tensor
    kinds: Tensor
    kind: Tensor


def _axis(length: int, window: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return per tile of an axis its queries [T, TILE], its keys [T, K], their offsets and who sees whom."""
    tile, span = min(TILE, length), min(window, length)
    reach = min(tile + span - 1, length)
    first = torch.tensor([min(start, length - tile) for start in range(0, length, tile)])
    queries = first[:, None] + torch.arange(tile)
    keys = (first - window // 2).clamp(0, length - reach)[:, None] + torch.arange(reach)
    starts = (queries - window // 2).clamp(0, length - span)[..., None]
    offsets = (keys[:, None] - queries[..., None] + window - 1).clamp(0, 2 * window - 2)
    return queries, keys, offsets, (keys[:, None] >= starts) & (keys[:, None] < starts + span)


@functools.lru_cache(maxsize=64)
def _plan(height: int, width: int, window: int) -> _Plan:
    rows, row_keys, down, row_seen = _axis(height, window)
    columns, column_keys, right, column_seen = _axis(width, window)
    tiles = len(rows) * len(columns)
    queries = (rows[:, None, :, None] * width + columns[None, :, None, :]).reshape(tiles, -1)
    place = down[:, None, :, None, :, None] * (2 * window - 1) + right[None, :, None, :, None, :]
    seen = row_seen[:, None, :, None, :, None] & column_seen[None, :, None, :, None, :]
    places = torch.where(seen, place, (2 * window - 1) ** 2).reshape(tiles, -1)
    kinds, kind = torch.unique(places, dim=0, return_inverse=True)
    return _Plan(row_keys, column_keys, queries, kinds.view(len(kinds), queries.shape[1], -1), kind)


def gathered_attention(query: Tensor, key: Tensor, value: Tensor, bias: Tensor, window: int) -> Tensor:
    """Attend as ``manypath.attention.neighbourhood_attention`` does, with the same arguments."""
    b, h, w, heads, d = query.shape
    plan = _plan(h, w, window)

    def regions(x: Tensor) -> Tensor:
        cut = x[:, plan.rows][:, :, :, plan.columns]  # [B, R, kh, C, kw, heads, d]
        return cut.transpose(2, 3).reshape(b * len(plan.kind), -1, heads, d).transpose(1, 2)

    table = F.pad(bias.flatten(1), (0, 1), value=float("-inf"))
    mask = table[:, plan.kinds].transpose(0, 1)[plan.kind]  # [tiles, heads, queries, keys]
    q = query.reshape(b, h * w, heads, d)[:, plan.queries].flatten(0, 1).transpose(1, 2)
    mask = mask if b == 1 else mask.repeat(b, 1, 1, 1)
    made = F.scaled_dot_product_attention(q, regions(key), regions(value), attn_mask=mask)
    out = query.new_empty(b, h * w, heads, d)
    out[:, plan.queries.flatten()] = made.transpose(1, 2).reshape(b, -1, heads, d)
    return out.view(b, h, w, heads, d)
