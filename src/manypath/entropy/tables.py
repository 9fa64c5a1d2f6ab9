"""The scale table and the integer CDFs: computed once in double precision, then stored with the weights.

Nothing here runs when a picture is coded; a released checkpoint brings its tables along.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from manypath.errors import CheckpointError

SCALES = 64  # entries of the scale table
SCALE_MIN = 0.11
SCALE_MAX = 128.0
PROBABILITY_BITS = 16
TAIL = 4.5  # a table reaches to this many standard deviations; what lies beyond is an escape
SKIPPED_INDEX = 0  # symbols with this scale index are zero and cost nothing

Integers = npt.NDArray[np.int32]


def scale_table() -> npt.NDArray[np.float64]:
    """Return the 64 standard deviations, geometric from 0.11 to 128."""
    return np.asarray(SCALE_MIN * (SCALE_MAX / SCALE_MIN) ** (np.arange(SCALES) / (SCALES - 1)))


def gaussian_row(scale: float) -> npt.NDArray[np.float64]:
    """Return the probabilities of the symbols -b..b of a rounded Gaussian, the tails in the outermost ones."""
    bound = max(1, math.ceil(TAIL * scale + 0.5))
    edges = [-math.inf, *(k + 0.5 for k in range(-bound, bound)), math.inf]
    # the smaller tail of either side, so that far cells keep their digits
    upper = [0.5 * math.erfc(abs(edge) / scale / math.sqrt(2.0)) for edge in edges]
    row = [
        (upper[i] - upper[i + 1])
        if edges[i] >= 0
        else (upper[i + 1] - upper[i])
        if edges[i + 1] <= 0
        else 1.0 - upper[i] - upper[i + 1]
        for i in range(len(edges) - 1)
    ]
    return np.asarray(row)


class Tables(NamedTuple):
    """Integer CDFs of one alphabet set.

    Attributes:
        cdf: int32 [tables, longest + 1]; row t holds lengths[t] + 1 increasing values from 0 to 65536,
            then 65536 again to the end of the row.
        bounds: int32 [tables]; table t codes the symbols -bounds[t] .. bounds[t].
    """

    cdf: Integers
    bounds: Integers


def integer_cdf(probabilities: npt.NDArray[np.float64]) -> Integers:
    """Scale probabilities to integers of 16 bits, each at least 1, that add up to 65536 exactly.

    Returns:
        The cumulative sums, int32 [n + 1], from 0 to 65536.
    """
    total = 1 << PROBABILITY_BITS
    shares = probabilities / probabilities.sum() * (total - len(probabilities))
    counts = np.floor(shares).astype(np.int64)
    missing = total - len(probabilities) - int(counts.sum())
    order = np.argsort(-(shares - counts), kind="stable")
    counts[order[:missing]] += 1
    return np.concatenate(([0], np.cumsum(counts + 1))).astype(np.int32)


def stack(rows: list[npt.NDArray[np.float64]]) -> Tables:
    """Build tables from symmetric probability rows, each of odd length 2 * bound + 1."""
    longest = max(len(row) for row in rows)
    cdf = np.full((len(rows), longest + 1), 1 << PROBABILITY_BITS, dtype=np.int32)
    for number, row in enumerate(rows):
        cdf[number, : len(row) + 1] = integer_cdf(row)
    return Tables(cdf, np.asarray([len(row) // 2 for row in rows], dtype=np.int32))


def gaussian_tables() -> Tables:
    """Return the tables of the latent, one per entry of the scale table."""
    return stack([gaussian_row(scale) for scale in scale_table().tolist()])


def code_lengths(
    tables: Tables, symbols: npt.NDArray[np.integer[Any]], indexes: npt.NDArray[np.integer[Any]], *, skip: bool = True
) -> npt.NDArray[np.float32]:
    """Return the ideal code length of each symbol in bits, of its table's index; with ``skip``, skipped ones are free.

    A symbol beyond its table costs what the table's last symbol does: the excess, in the escapes, is not counted.
    """
    bounds = tables.bounds[indexes]
    cell = np.clip(symbols, -bounds, bounds) + bounds
    counts = tables.cdf[indexes, cell + 1] - tables.cdf[indexes, cell]
    bits = PROBABILITY_BITS - np.log2(counts)
    return np.where(skip & (indexes == SKIPPED_INDEX), 0.0, bits).astype(np.float32)


def check_tables(tables: Tables, count: int) -> None:
    """Refuse tables that the coder could not use safely.

    Raises:
        CheckpointError: another number of tables, or a row that does not rise from 0 to 65536.
    """
    cdf, bounds = tables
    if cdf.ndim != 2 or bounds.shape != (cdf.shape[0],) or cdf.shape[0] != count or int(bounds.min(initial=1)) < 1:
        raise CheckpointError(f"expected {count} probability tables, got {cdf.shape[0]} of shape {cdf.shape}")
    for row, bound in zip(cdf, bounds.tolist(), strict=True):
        used = row[: 2 * bound + 2]
        if len(used) != 2 * bound + 2 or used[0] != 0 or used[-1] != 1 << PROBABILITY_BITS or (np.diff(used) < 1).any():
            raise CheckpointError("a probability table does not rise from 0 to 65536")
