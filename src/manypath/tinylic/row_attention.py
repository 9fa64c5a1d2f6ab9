"""Neighbourhood attention on a CPU, compiled by Numba: the numbers of ``attention``'s tiles in about half the time.

A tile shows each query twice as many keys as its window holds; here each query meets its own 49 and no others. Channels
are planes, [d, h, w], so that consecutive queries of a row lie side by side and every operation is on vectors of them:
query ``x`` meets key ``x + j`` for one offset after another. The last seven rows of keys and values stay in the cache.
Queries whose window is moved inward meet other keys than their neighbours do; those of a row's two ends, six in all,
make a vector of their own, with its keys laid out so.

Numba comes with the extra ``kernels``; without it, or where ``refusal`` gives another reason, the tiles serve. What it
compiles, in ten to twenty seconds, it keeps for later processes.
"""

from __future__ import annotations

import functools
import importlib.util
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

WINDOW = 7  # that of the published transforms; no other is compiled
DTYPES = (torch.float32, torch.bfloat16)


def refusal(x: Tensor, heads: int, window: int) -> str:
    """Return why tokens [B, h, w, C] are not served; empty if they are."""
    if x.device.type != "cpu" or torch.is_grad_enabled():
        return "rows are for a CPU, where no gradient is wanted"
    if x.dtype not in DTYPES or window != WINDOW or x.shape[-1] // heads % 4:
        return f"rows are compiled for windows of {WINDOW}, heads of a multiple of 4 channels, float32 and bfloat16"
    if min(x.shape[1:3]) < WINDOW:
        return "the grid is narrower than the window"
    return "" if _installed() else "Numba is not installed; install the extra 'kernels'"


@functools.cache
def _installed() -> bool:
    return importlib.util.find_spec("numba") is not None


@functools.cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="row-attention")


def row_attention(planes: Tensor, bias: Tensor) -> Tensor:
    """Attend to the window around each token; ``refusal`` must have been empty.

    Args:
        planes: queries, keys and values, [3, heads, d, h, w]; scores are scaled by d^-1/2. Computed in float32.
        bias: float [heads, 2 * WINDOW - 1, 2 * WINDOW - 1], as in ``attention.neighbourhood_attention``.

    Returns:
        Like the queries, [heads, d, h, w].
    """
    from manypath.tinylic.row_kernels import attend  # not before it is needed: Numba takes half a second to import

    heads, d = planes.shape[1:3]
    given, table = (x.float().contiguous().numpy() for x in (planes, bias.detach()))
    out = torch.empty(planes.shape[1:], dtype=torch.float32, device="cpu")
    threads = min(torch.get_num_threads(), heads)
    cuts = [heads * number // threads for number in range(threads + 1)]

    def work(number: int) -> None:
        attend(given, table, d**-0.5, out.numpy(), cuts[number], cuts[number + 1])

    if threads == 1:
        work(0)
    else:
        list(_pool(threads).map(work, range(threads)))
    return out.to(planes.dtype)
