"""A comparison's charts: one per measure, measured curves solid, published ones dashed."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

from matplotlib.figure import Figure

from manypath_lab.evaluation.chart import Frame, Level, Series, clipped, draw_chart
from manypath_lab.evaluation.comparison import Comparison, Verdict, axis

RATE_AXIS = "bits per pixel (real bytes, headers included)"
_STRONGEST_FIRST = ("vvc", "avif", "webp", "jpeg")  # baselines, for the title
_DEEPEST_LOSS = 25.0  # points below the originals: what lies lower is cut off


def save_plots(comparison: Comparison, folder: pathlib.Path) -> list[pathlib.Path]:
    """Write ``<name>-<judge>-<measure>`` as PNG and SVG for every measure."""
    files = []
    for verdict in comparison.verdicts:
        names = dict.fromkeys((comparison.name, verdict.judge.name, verdict.measure.name))
        files += save_figure(draw(comparison, verdict), folder, "-".join(names))
    return files


def save_figure(figure: Figure, folder: pathlib.Path, stem: str) -> list[pathlib.Path]:
    """Write a figure as PNG and SVG."""
    files = [folder / f"{stem}.{suffix}" for suffix in ("png", "svg")]
    for file in files:
        figure.savefig(file, dpi=160)
    return files


def draw(comparison: Comparison, verdict: Verdict) -> Figure:
    """Return the figure of one measure against bits per pixel."""
    series = [
        Series(curve.line.name, curve.line.label, axis(verdict, curve), curve.line.ours, curve.published)
        for curve in verdict.curves
    ]
    plural = "s" if comparison.pictures != 1 else ""
    better = "down" if verdict.measure.lower and verdict.measure.decibels is None else "up"
    quoted = "; dashed: published by others" if any(one.quoted for one in series) else ""
    subtitle = f"{comparison.pictures} picture{plural} of {comparison.name}; {better} and left is better{quoted}"
    texts = (_finding(comparison, verdict), subtitle, RATE_AXIS, verdict.measure.axis or verdict.measure.label)
    frame = _accuracy_frame(texts, verdict, series) if verdict.equal else _frame(texts, series)
    return draw_chart(series, frame)


def _frame(texts: tuple[str, str, str, str], series: Sequence[Series]) -> Frame:
    """Return a frame as far right as our curve reaches and a bit more, or to 2 bpp without one."""
    own = [rate for one in series if one.ours for rate, _ in one.pairs]
    others = [rate for one in series if not one.quoted for rate, _ in one.pairs]
    right = min(max(own) * 1.12, 2.2) if own else min(max(others), 2.0)
    inside = [value for one in series for rate, value in clipped(one.pairs, right) if rate <= right]
    low, high = min(inside, default=0.0), max(inside, default=1.0)
    margin = 0.04 * (high - low or 1.0)
    return Frame(*texts, (0.0, right), (low - margin, high + margin))


def _accuracy_frame(texts: tuple[str, str, str, str], verdict: Verdict, series: Sequence[Series]) -> Frame:
    """Return a frame over the logarithm of the rate, with lines at the losses that are compared."""
    assert verdict.equal is not None  # for the type checker: the caller looked
    original = verdict.original
    own = [x for one in series if one.ours for x, _ in one.pairs] or [x for one in series for x, _ in one.pairs]
    left, right = min(own) * 0.85, max(own) * 1.15
    seen = [y for one in series for x, y in one.pairs if left <= x <= right] or [original]
    bottom = max(min(seen), original - _DEEPEST_LOSS)
    levels = [Level(original, f"originals: {original:.1f}")]
    levels += [Level(original - target, f"−{target:g}") for target in verdict.equal.targets]
    x, y = (left, right), (bottom - 0.5, max(original, *seen) + 1.0)
    return Frame(*texts, x, y, log_x=True, levels=tuple(levels))


def _finding(comparison: Comparison, verdict: Verdict) -> str:
    """Return the title: the most interesting comparison that has a figure, or what is drawn."""
    text = _accuracy_finding(comparison, verdict) if verdict.equal else _rate_finding(verdict)
    return text or f"Rate against {_spoken(verdict)}"


def _spoken(verdict: Verdict) -> str:
    """Return the measure's name without its unit."""
    return verdict.measure.label.partition(" (")[0]


def _rate_finding(verdict: Verdict) -> str | None:
    lines = {curve.line.name: curve.line for curve in verdict.curves}
    for anchor in _STRONGEST_FIRST:
        for one in verdict.bd_rates:
            told = one.anchor == anchor and lines[one.curve].ours and one.percent is not None
            if told and one.percent is not None and (one.percent < 0.0 or anchor == "jpeg"):
                more = "fewer" if one.percent < 0.0 else "more"
                name, other = lines[one.curve].label, lines[anchor].label
                return f"{name}: {abs(one.percent):.0f} % {more} bits than {other} at equal {_spoken(verdict)}"
    return None


def _accuracy_finding(comparison: Comparison, verdict: Verdict) -> str | None:
    """Return the task path's bits over AVIF's, or else JPEG's, at a middle target.

    A ratio that may be larger than its figure is no finding.
    """
    assert verdict.equal is not None  # for the type checker: the caller looked
    lines = {curve.line.name: curve.line for curve in verdict.curves}
    targets = verdict.equal.targets
    telling = sorted(
        (
            ratio
            for ratio in verdict.equal.ratios
            if lines[ratio.line].ours and ratio.value is not None and ratio.value < 1.0 and ratio.bound != ">="
        ),
        key=lambda ratio: (
            lines[ratio.line].path != comparison.path,
            ratio.target != targets[len(targets) // 2],
            ratio.anchor != "avif",
            ratio.anchor != "jpeg",
        ),
    )
    if not telling:
        return None
    best = telling[0]
    name, other = lines[best.line].label, lines[best.anchor].label
    most = "at most " if best.bound == "<=" else ""
    return f"{name}: {most}{best.value:.0%} of {other}'s bits, {best.target:g} point{'s' * (best.target != 1)} lost"
