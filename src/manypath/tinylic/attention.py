"""Neighbourhood attention with a relative position bias: each token looks at the window around it.

A window is ``window`` x ``window`` tokens, moved inward at the borders (NATTEN's rule, Hassani et al. 2023, without
dilation), so that every token sees equally many. On a grid narrower than the window it shrinks to the grid.

Queries are taken in tiles of 4x4, whose windows lie in one region of 10x10 keys; the keys of the region that a query
must not see get a bias of minus infinity. Tiles at borders are cut from the same plan with smaller regions. Work goes
through in pieces of at most ``PIECE`` scores, so memory is bounded by the piece and not by the grid.
"""

from __future__ import annotations

import functools
import importlib
from types import ModuleType
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from manypath.transfers import cached_by_stream

TILE = 4  # queries on a tile's side; measured best of 2x8, 4x4, 4x8, 6x6 and 8x8 in float32 on a CPU
PIECE = 1 << 20  # scores at a time; what the fused kernel works on stays in the cache anyhow


class Run(NamedTuple):
    """Consecutive tiles along one axis that differ by nothing but their place.

    Attributes:
        query: first query of the first tile.
        size: queries in a tile.
        tiles: how many.
        key: first key of the first tile's region.
        keys: keys in a region.
        starts: for each query of a tile, where its window starts in the region.
    """

    query: int
    size: int
    tiles: int
    key: int
    keys: int
    starts: tuple[int, ...]


@functools.lru_cache(maxsize=256)
def plan(length: int, window: int) -> tuple[Run, ...]:
    """Cut an axis of ``length`` tokens into runs of tiles."""
    span = min(window, length)
    runs: list[Run] = []
    for query in range(0, length, TILE):
        size = min(TILE, length - query)
        starts = [min(max(token - window // 2, 0), length - span) for token in range(query, query + size)]
        new = Run(query, size, 1, starts[0], starts[-1] + span - starts[0], tuple(at - starts[0] for at in starts))
        last = runs[-1] if runs else None
        if (
            last is not None
            and (last.size, last.keys, last.starts) == (size, new.keys, new.starts)
            and last.key + last.tiles * TILE == new.key
        ):
            runs[-1] = last._replace(tiles=last.tiles + 1)
        else:
            runs.append(new)
    return tuple(runs)


def _offsets(run: Run, window: int, length: int) -> tuple[Tensor, Tensor]:
    """Return which keys each query sees, bool [size, keys], and their offset's place in the bias table, int64."""
    span = min(window, length)
    key = torch.arange(run.keys, device="cpu")[None]
    start = torch.tensor(run.starts, device="cpu")[:, None]
    seen = (key >= start) & (key < start + span)
    offset = (key + run.key) - (torch.arange(run.size, device="cpu")[:, None] + run.query) + window - 1
    return seen, offset.clamp(0, 2 * window - 2)


@cached_by_stream(256)
def _bias_index(rows: Run, columns: Run, window: int, grid: tuple[int, int], device: torch.device) -> Tensor:
    """Return places in the flattened bias table, int64 [queries, keys]; the place behind its end is minus infinity."""
    row_seen, row = _offsets(rows, window, grid[0])
    column_seen, column = _offsets(columns, window, grid[1])
    seen = row_seen[:, None, :, None] & column_seen[None, :, None, :]
    place = row[:, None, :, None] * (2 * window - 1) + column[None, :, None, :]
    index = torch.where(seen, place, (2 * window - 1) ** 2)
    return index.reshape(rows.size * columns.size, -1).to(device)


def _tiles(x: Tensor, rows: Run, columns: Run, first: int, count: int) -> Tensor:
    """Return the queries of ``count`` rows of tiles: [B * tiles, heads, queries, d]."""
    b, _, _, heads, d = x.shape
    top = rows.query + first * TILE
    x = x[:, top : top + count * rows.size, columns.query : columns.query + columns.tiles * columns.size]
    x = x.reshape(b, count, rows.size, columns.tiles, columns.size, heads, d).permute(0, 1, 3, 5, 2, 4, 6)
    return x.reshape(b * count * columns.tiles, heads, rows.size * columns.size, d)


def _regions(x: Tensor, rows: Run, columns: Run, first: int, count: int) -> Tensor:
    """Return the keys or values of ``count`` rows of tiles: [B * tiles, heads, keys, d]."""
    b, _, _, heads, d = x.shape
    top = rows.key + first * TILE
    x = x[
        :,
        top : top + (count - 1) * TILE + rows.keys,
        columns.key : columns.key + (columns.tiles - 1) * TILE + columns.keys,
    ]
    x = x.unfold(1, rows.keys, TILE).unfold(2, columns.keys, TILE)  # [B, count, tiles, heads, d, keys, keys]
    return x.permute(0, 1, 2, 3, 5, 6, 4).reshape(b * count * columns.tiles, heads, rows.keys * columns.keys, d)


def _attend(query: Tensor, key: Tensor, value: Tensor, bias: Tensor) -> Tensor:
    """Attend within regions, [N, heads, queries or keys, d] with bias [heads, queries, keys].

    PyTorch's fused kernel saves a sixth of the time on a CPU; backward with a mask it is slow, so training multiplies.
    """
    if not torch.is_grad_enabled():
        return F.scaled_dot_product_attention(query, key, value, attn_mask=bias.expand(len(query), -1, -1, -1))
    scores = torch.matmul(query * query.shape[-1] ** -0.5, key.transpose(-1, -2))
    scores += bias
    return torch.matmul(scores.softmax(-1), value)


def tiled_attention(query: Tensor, key: Tensor, value: Tensor, bias: Tensor, window: int) -> Tensor:
    """Attend in tiles; see ``neighbourhood_attention``."""
    b, h, w, heads, d = query.shape
    out = torch.empty_like(query)
    table = F.pad(bias.flatten(1), (0, 1), value=float("-inf")).to(query.dtype)
    for rows in plan(h, window):
        for columns in plan(w, window):
            own = table[:, _bias_index(rows, columns, window, (h, w), query.device)]  # [heads, queries, keys]
            per_row = b * columns.tiles * own.numel()
            step = max(1, PIECE // per_row)
            for first in range(0, rows.tiles, step):
                count = min(step, rows.tiles - first)
                made = _attend(
                    _tiles(query, rows, columns, first, count),
                    _regions(key, rows, columns, first, count),
                    _regions(value, rows, columns, first, count),
                    own,
                )
                top, left = rows.query + first * TILE, columns.query
                place = out[:, top : top + count * rows.size, left : left + columns.tiles * columns.size]
                place.view(b, count, rows.size, columns.tiles, columns.size, heads, d).copy_(
                    made.view(b, count, columns.tiles, heads, rows.size, columns.size, d).permute(0, 1, 4, 2, 5, 3, 6)
                )
    return out


@functools.cache
def find_natten() -> tuple[ModuleType | None, str]:
    """Return natten's functions, or None and why not."""
    if not hasattr(torch.cuda, "_device_t"):  # a type that newer versions of PyTorch keep elsewhere, and 0.17 imports
        torch.cuda._device_t = torch.types.Device  # type: ignore[attr-defined]
    try:
        functional = importlib.import_module("natten.functional")
    except Exception as err:  # noqa: BLE001  an old build fails at import in several ways; all mean "not here"
        return None, f"natten cannot be imported: {err}"
    if not hasattr(functional, "na2d_qk") or not hasattr(functional, "na2d_av"):
        return None, "this natten has no relative position bias (it left after 0.17)"
    return functional, ""


def natten_refusal(query: Tensor, window: int) -> str:
    """Return why natten does not serve these queries; empty if it does."""
    if query.device.type != "cuda":
        return "natten is used on CUDA devices only: on a CPU the tiles are faster"
    if min(query.shape[1:3]) < window:
        return "natten takes no grid narrower than the window"
    return find_natten()[1]


def natten_attention(query: Tensor, key: Tensor, value: Tensor, bias: Tensor, window: int) -> Tensor:
    """Attend by natten's kernels; ``natten_refusal`` must have been empty."""
    functional, _ = find_natten()
    assert functional is not None
    scaled = query * query.shape[-1] ** -0.5
    heads_first = [x.permute(0, 3, 1, 2, 4).contiguous() for x in (scaled, key, value)]
    scores = functional.na2d_qk(heads_first[0], heads_first[1], window, 1, rpb=bias.to(query.dtype))
    out: Tensor = functional.na2d_av(scores.softmax(-1), heads_first[2], window, 1)
    return out.permute(0, 2, 3, 1, 4)


def neighbourhood_attention(query: Tensor, key: Tensor, value: Tensor, bias: Tensor, window: int) -> Tensor:
    """Attend to the window around each token.

    Args:
        query: float [B, h, w, heads, d]; scores are scaled by d^-1/2.
        key: like the query.
        value: like the query.
        bias: float [heads, 2 * window - 1, 2 * window - 1]; entry (i, j) is added where the key lies
            i - (window - 1) rows below and j - (window - 1) columns right of the query.
        window: odd.

    Returns:
        float [B, h, w, heads, d].
    """
    if natten_refusal(query, window):
        return tiled_attention(query, key, value, bias, window)
    return natten_attention(query, key, value, bias, window)
