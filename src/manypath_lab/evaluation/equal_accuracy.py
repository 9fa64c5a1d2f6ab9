"""Bits at equal accuracy: the rate at which a codec loses so many points, and how codecs compare there.

A codec's loss over its settings is made monotone (isotonic regression, each setting counting alike) and read
between settings on the logarithm of the rate. Intervals are a paired bootstrap: pictures are drawn with replacement,
the same draw for every codec, rates and losses both taken anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from manypath_lab.evaluation.judges.judge import Floats
from manypath_lab.evaluation.run import Track
from manypath_lab.evaluation.score import Score

DRAWS = 2000
INTERVAL = (2.5, 97.5)  # percentiles
_BATCH = 200  # draws at a time: a confusion matrix per draw and setting is large


class Reading(NamedTuple):
    """The rate at a loss.

    Attributes:
        bpp: bits per pixel, or the end of the measured range where the loss is not reached within it.
        low: lower end of the interval.
        high: upper end.
        end: -1 if the loss is smaller already at the lowest rate (the rate is at most ``bpp``), 1 if it is larger
            even at the highest (at least ``bpp``), 0 within the range.
        outside: share of draws that ended outside the range, 0..1.
    """

    bpp: float
    low: float
    high: float
    end: int
    outside: float


class Ratio(NamedTuple):
    """One rate over another at equal loss; below 1 means fewer bits.

    Attributes:
        line: name of the line under test.
        anchor: name of the one it is compared with.
        target: points lost.
        value: the ratio, None where neither end can be said (both outside the same way).
        low: lower end of the interval.
        high: upper end.
        bound: ``=``, or ``<=`` / ``>=`` where one of the two rates is only a bound.
    """

    line: str
    anchor: str
    target: float
    value: float | None
    low: float
    high: float
    bound: str


class EqualAccuracy(NamedTuple):
    """All readings of one score.

    Attributes:
        targets: points lost.
        readings: [line][target].
        ratios: each line under test against each anchor, at each target.
    """

    targets: tuple[float, ...]
    readings: tuple[tuple[Reading, ...], ...]
    ratios: tuple[Ratio, ...]


def falling(losses: Floats) -> Floats:
    """Return the nearest losses, in least squares, that never rise along the last axis (isotonic regression)."""
    count = losses.shape[-1]
    sums = np.concatenate([np.zeros_like(losses[..., :1]), np.cumsum(losses, -1)], -1)
    fitted = np.empty_like(losses, dtype=np.float64)
    # min-max formula: the smallest over starts i <= k of the largest over ends j >= k of the mean of i..j
    for k in range(count):
        best = np.full(losses.shape[:-1], np.inf)
        for i in range(k + 1):
            lengths = np.arange(k + 1, count + 1) - i
            means = (sums[..., k + 1 :] - sums[..., i : i + 1]) / lengths
            best = np.minimum(best, means.max(-1))
        fitted[..., k] = best
    return fitted


def rate_at(bpp: Floats, losses: Floats, target: float) -> tuple[Floats, npt.NDArray[np.int8]]:
    """Return the lowest rate at which the loss has fallen to ``target``, and on which side of the range it lies.

    Args:
        bpp: [..., K], rising.
        losses: [..., K], as measured; made falling here.
        target: points.

    Returns:
        Rates [...], the nearest end of the range where the loss is not reached inside; and -1, 0 or 1 as ``Reading``.
    """
    fitted = falling(losses)
    logs = np.log(np.maximum.accumulate(bpp, -1))
    below = fitted <= target
    first = np.where(below.any(-1), below.argmax(-1), losses.shape[-1])
    end = np.where(first == 0, -1, np.where(first == losses.shape[-1], 1, 0)).astype(np.int8)
    right = np.clip(first, 1, losses.shape[-1] - 1)[..., None]
    x0, x1 = (np.take_along_axis(logs, place, -1)[..., 0] for place in (right - 1, right))
    y0, y1 = (np.take_along_axis(fitted, place, -1)[..., 0] for place in (right - 1, right))
    step = y0 - y1
    along = np.divide(y0 - target, step, out=np.zeros_like(step), where=step > 0)
    inside = x0 + (x1 - x0) * np.clip(along, 0.0, 1.0)
    rates: Floats = np.exp(np.where(end < 0, logs[..., 0], np.where(end > 0, logs[..., -1], inside)))
    return rates, end


def draw_weights(pictures: int, draws: int, seed: int = 0) -> Floats:
    """Return how often each draw takes each picture, float64 [draws, pictures]."""
    return np.random.default_rng(seed).multinomial(pictures, np.full(pictures, 1.0 / pictures), draws).astype(float)


def equal_accuracy(
    score: Score,
    tracks: Sequence[Track],
    pairs: Sequence[tuple[int, int]],
    targets: Sequence[float],
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> EqualAccuracy:
    """Read every line's rate at each target, and compare lines with others.

    Args:
        score: of the same lines.
        tracks: the lines' rates.
        pairs: numbers of a line under test and of its anchor.
        targets: points lost against the originals.
        draws: of the bootstrap.
        seed: of the draws.
    """
    pictures = len(score.original)
    estimates, sides = _all_rates(score, tracks, targets, np.ones((1, pictures)))
    weights = draw_weights(pictures, draws, seed)
    parts = [_all_rates(score, tracks, targets, weights[start : start + _BATCH]) for start in range(0, draws, _BATCH)]
    drawn, ends = (np.concatenate([part[i] for part in parts], -1) for i in (0, 1))  # [lines, targets, draws]
    low, high = np.percentile(drawn, INTERVAL, axis=-1)  # [lines, targets]
    outside = (ends != 0).mean(-1)
    readings = tuple(
        tuple(
            Reading(
                float(estimates[line, t, 0]),
                float(low[line, t]),
                float(high[line, t]),
                int(sides[line, t, 0]),
                float(outside[line, t]),
            )
            for t in range(len(targets))
        )
        for line in range(len(tracks))
    )
    ratios = [
        _ratio(
            (tracks[line].line.name, tracks[anchor].line.name, target),
            readings[line][t],
            readings[anchor][t],
            drawn[line, t] / drawn[anchor, t],
        )
        for line, anchor in pairs
        for t, target in enumerate(targets)
    ]
    return EqualAccuracy(tuple(targets), readings, tuple(ratios))


def _all_rates(
    score: Score, tracks: Sequence[Track], targets: Sequence[float], weights: Floats
) -> tuple[Floats, npt.NDArray[np.int8]]:
    """Return rates and ends, [lines, targets, R]."""
    found = []
    for number, track in enumerate(tracks):
        losses = score.loss(number, weights)
        means = weights @ track.bpp / weights.sum(1, keepdims=True)
        found.append([rate_at(means, losses, target) for target in targets])
    return (
        np.asarray([[rate for rate, _ in line] for line in found]),
        np.asarray([[end for _, end in line] for line in found]),
    )


def _ratio(pair: tuple[str, str, float], test: Reading, anchor: Reading, drawn: Floats) -> Ratio:
    low, high = (float(value) for value in np.percentile(drawn, INTERVAL))
    if test.end != 0 and test.end == anchor.end:
        return Ratio(*pair, None, low, high, "?")
    lowest = test.end < 0 or anchor.end > 0  # the one is lower still, or the other higher still
    highest = test.end > 0 or anchor.end < 0
    return Ratio(*pair, test.bpp / anchor.bpp, low, high, "<=" if lowest else ">=" if highest else "=")


class Gain(NamedTuple):
    """How many points a side path is ahead of the main path on the same streams.

    Attributes:
        line: the side path's line.
        quality: the setting.
        bpp: mean rate.
        points: difference of the scores.
        low: lower end of the interval.
        high: upper end.
    """

    line: str
    quality: float
    bpp: float
    points: float
    low: float
    high: float


def gains(score: Score, main: int, side: int, track: Track, *, draws: int = DRAWS, seed: int = 0) -> list[Gain]:
    """Compare two lines made from the same streams, setting by setting.

    Args:
        score: of all lines.
        main: number of the main path's line.
        side: number of the side path's.
        track: the side's.
        draws: of the bootstrap.
        seed: of the draws.
    """
    points = (score.of_line(side) - score.of_line(main))[0]
    weights = draw_weights(len(score.original), draws, seed)
    parts = [weights[start : start + _BATCH] for start in range(0, draws, _BATCH)]
    drawn = np.concatenate([score.of_line(side, part) - score.of_line(main, part) for part in parts])
    low, high = np.percentile(drawn, INTERVAL, axis=0)
    columns = zip(track.qualities, track.bpp.mean(0), points, low, high, strict=True)
    return [Gain(track.line.name, *map(float, column)) for column in columns]
