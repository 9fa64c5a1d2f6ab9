"""The compiled loops of ``row_attention``: plain loops over arrays, and nothing else of Python. Needs Numba.

The loops over ``x`` are those that become vector instructions. They index views from 0 on, so that the compiler sees
no index that could be negative.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

WINDOW = 7  # the only one that is compiled: that of the published transforms
REACH = WINDOW // 2
OFFSETS = WINDOW * WINDOW
LANES = 192  # queries at a time, at most
ENDS = 8  # lanes of a row's two ends: three left, three right, two idle

Planes = npt.NDArray[np.float32]
Places = npt.NDArray[np.int64]


def compiled(function: Any) -> Any:
    """Compile at the first call, and keep the result for other processes where there is a folder to keep it in."""
    # products may be fused with sums, and sums taken in any order; nothing is assumed of infinities
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": {"contract", "nsz", "reassoc"}}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # no folder can be written
        return numba.njit(**options)(function)


@compiled
def _load(rows: Planes, plane: Planes, y: int, left: int, lanes: int) -> None:
    """Copy row y of [d, h, w], from ``left`` on, into the ring [WINDOW * d, lanes + WINDOW - 1]."""
    d = plane.shape[0]
    count = min(lanes + WINDOW - 1, plane.shape[2] - left)
    for c in range(d):
        given, row = plane[c, y, left:], rows[y % WINDOW * d + c]
        for x in range(count):
            row[x] = given[x]


@compiled
def _load_ends(rows: Planes, plane: Planes, y: int) -> None:
    """Lay out the keys of a row's two ends: for offset j, ENDS lanes at j * ENDS."""
    d, _, w = plane.shape
    for c in range(d):
        first, last, row = plane[c, y], plane[c, y, w - WINDOW :], rows[y % WINDOW * d + c]
        for j in range(WINDOW):
            lane = row[j * ENDS :]
            for x in range(REACH):
                lane[x] = first[j]
            for x in range(REACH, ENDS):
                lane[x] = last[j]


@compiled
def _scores(query: Planes, keys: Planes, bias: Planes, top: int, lanes: int, step: int, scores: Planes) -> None:
    """Fill scores [OFFSETS, lanes] with bias + query . key; the key of lane x at offset j lies at x + j * step."""
    d = query.shape[0]
    for i in range(WINDOW):
        row = (top + i) % WINDOW * d
        for j in range(WINDOW):
            s, b = scores[i * WINDOW + j], bias[i * WINDOW + j]
            for x in range(lanes):
                s[x] = b[x]
            for c in range(0, d, 4):
                q0, q1, q2, q3 = query[c], query[c + 1], query[c + 2], query[c + 3]
                k0, k1 = keys[row + c, j * step :], keys[row + c + 1, j * step :]
                k2, k3 = keys[row + c + 2, j * step :], keys[row + c + 3, j * step :]
                for x in range(lanes):
                    s[x] += q0[x] * k0[x] + q1[x] * k1[x] + q2[x] * k2[x] + q3[x] * k3[x]


@compiled
def _weigh(scores: Planes, most: Planes, total: Planes, bits: npt.NDArray[np.int32], lanes: int) -> None:
    """Turn scores into exp(score - the largest), and ``total`` into one over their sum."""
    powers = bits.view(np.float32)
    for x in range(lanes):
        most[x] = scores[0, x]
        total[x] = np.float32(0)
    for m in range(1, OFFSETS):
        s = scores[m]
        for x in range(lanes):
            most[x] = max(most[x], s[x])
    for m in range(OFFSETS):
        s = scores[m]
        for x in range(lanes):
            # 2^t: the whole part goes into the exponent's bits, the rest, at most a half, into its Taylor polynomial
            t = max((s[x] - most[x]) * np.float32(1.4426950408889634), np.float32(-126))
            whole = np.floor(t + np.float32(0.5))
            bits[x] = np.int32(whole) * np.int32(1 << 23) + np.int32(127 << 23)
            u = t - whole
            p = np.float32(1.5403530e-4)
            p = p * u + np.float32(1.3333558e-3)
            p = p * u + np.float32(9.6181291e-3)
            p = p * u + np.float32(5.5504109e-2)
            p = p * u + np.float32(2.4022651e-1)
            p = p * u + np.float32(6.9314718e-1)
            s[x] = p * u + np.float32(1)
        for x in range(lanes):
            weight = s[x] * powers[x]
            s[x] = weight
            total[x] += weight
    for x in range(lanes):
        total[x] = np.float32(1) / total[x]


@compiled
def _sum(weights: Planes, values: Planes, total: Planes, top: int, lanes: int, step: int, out: Planes) -> None:
    """Fill out [d, lanes] with the values' sums by their weights, times ``total``."""
    d = out.shape[0]
    for i in range(WINDOW):
        first = i * WINDOW
        a0, a1, a2, a3 = weights[first], weights[first + 1], weights[first + 2], weights[first + 3]
        a4, a5, a6 = weights[first + 4], weights[first + 5], weights[first + 6]
        for c in range(d):
            row = (top + i) % WINDOW * d + c
            v0, v1, v2, v3 = values[row], values[row, step:], values[row, 2 * step :], values[row, 3 * step :]
            v4, v5, v6 = values[row, 4 * step :], values[row, 5 * step :], values[row, 6 * step :]
            o = out[c]
            if i == 0:
                for x in range(lanes):
                    o[x] = np.float32(0)
            for x in range(lanes):
                o[x] += (
                    a0[x] * v0[x]
                    + a1[x] * v1[x]
                    + a2[x] * v2[x]
                    + a3[x] * v3[x]
                    + a4[x] * v4[x]
                    + a5[x] * v5[x]
                    + a6[x] * v6[x]
                )
    for c in range(d):
        for x in range(lanes):
            out[c, x] *= total[x]


@compiled
def _place(columns: Places, starts: Places, chunk: int, left: int, count: int, w: int) -> None:
    """Fill in the column of each lane's query, and where its window starts; a chunk below 0 is that of the ends."""
    for x in range(count):
        if chunk < 0:
            columns[x] = x if x < REACH else w - 2 * REACH + x
        else:
            columns[x] = left + REACH + x
        starts[x] = min(max(columns[x] - REACH, 0), w - WINDOW)


@compiled
def _show(bias: Planes, above: int, columns: Places, starts: Places, count: int, shown: Planes) -> None:
    """Fill shown [OFFSETS, lanes] with the bias [13, 13] where the windows' first row lies ``above`` the queries'."""
    for m in range(OFFSETS):
        own = bias[m // WINDOW + above + WINDOW - 1]
        for x in range(count):
            shown[m, x] = own[m % WINDOW + starts[x] - columns[x] + WINDOW - 1]


@compiled
def _pick(row: Planes, columns: Places, count: int, factor: float, query: Planes) -> None:
    """Fill query [d, lanes] with factor times a row [d, w] at columns."""
    for c in range(query.shape[0]):
        given, taken = row[c], query[c]
        for x in range(count):
            taken[x] = factor * given[columns[x]]


@compiled
def _put(made: Planes, columns: Places, count: int, row: Planes) -> None:
    """Store made [d, lanes] in a row [d, w] at columns."""
    for c in range(made.shape[0]):
        given, taken = made[c], row[c]
        for x in range(count):
            taken[columns[x]] = given[x]


@compiled
def attend(planes: Planes, bias: Planes, scale: float, out: Planes, first: int, last: int) -> None:
    """Attend for heads first .. last - 1.

    Args:
        planes: queries, keys and values, [3, heads, d, h, w].
        bias: [heads, 2 * WINDOW - 1, 2 * WINDOW - 1].
        scale: of the scores, before the bias.
        out: [heads, d, h, w].
        first: head.
        last: head, and one more.
    """
    _, _, d, h, w = planes.shape
    factor = np.float32(scale)
    inner = w - 2 * REACH
    chunks = -(-inner // LANES)
    width = (inner + 8 * chunks - 1) // (8 * chunks) * 8
    scores, shown = np.zeros((OFFSETS, LANES), np.float32), np.zeros((OFFSETS, LANES), np.float32)
    query, made = np.zeros((d, LANES), np.float32), np.zeros((d, LANES), np.float32)
    keys = np.zeros((WINDOW * d, LANES + WINDOW - 1), np.float32)
    values = np.zeros((WINDOW * d, LANES + WINDOW - 1), np.float32)
    most, total, bits = np.zeros(LANES, np.float32), np.zeros(LANES, np.float32), np.zeros(LANES, np.int32)
    columns, starts = np.zeros(LANES, np.int64), np.zeros(LANES, np.int64)  # of the queries and of their windows
    for chunk in range(-1, chunks):  # the first is that of the ends
        left = max(chunk, 0) * width
        lanes, step = (ENDS, ENDS) if chunk < 0 else (width, 1)
        count = 2 * REACH if chunk < 0 else min(lanes, inner - left)
        _place(columns, starts, chunk, left, count, w)
        for head in range(first, last):
            loaded, above = 0, h
            for y in range(h):
                top = min(max(y - REACH, 0), h - WINDOW)
                while loaded < top + WINDOW:
                    for ring, number in ((keys, 1), (values, 2)):
                        if chunk < 0:
                            _load_ends(ring, planes[number, head], loaded)
                        else:
                            _load(ring, planes[number, head], loaded, left, lanes)
                    loaded += 1
                if above != top - y:  # else the offsets are those of the row before
                    above = top - y
                    _show(bias[head], above, columns, starts, count, shown)
                _pick(planes[0, head, :, y], columns, count, factor, query)
                _scores(query, keys, shown, top, lanes, step, scores)
                _weigh(scores, most, total, bits, lanes)
                _sum(scores, values, total, top, lanes, step, made)
                _put(made, columns, count, out[head, :, y])
