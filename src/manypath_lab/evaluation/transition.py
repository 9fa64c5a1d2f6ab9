"""What happens between the main path and a side path: measures over task_share, and how smooth they are."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from manypath_lab.evaluation.equal_accuracy import draw_weights
from manypath_lab.evaluation.judges.judge import Floats
from manypath_lab.evaluation.score import Score

DRAWS = 1000
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#882255", "#E69F00", "#56B4E9", "#000000", "#7f7f7f")
_INK = "#222222"


class Smoothness(NamedTuple):
    """How a measure goes from share 0 to share 1.

    Attributes:
        change: last value minus first.
        monotone: no step goes against the change.
        step_back: the largest step against the change, 0 if there is none.
        real_step_back: the largest such step whose paired 95 % interval leaves out zero, 0 if there is none.
        jump: the largest step in either direction.
        jump_at: task_share at which that step ends.
        jump_share: that step over the whole change; an even transition of n steps has 1 / n.
    """

    change: float
    monotone: bool
    step_back: float
    real_step_back: float
    jump: float
    jump_at: float
    jump_share: float


class Transition(NamedTuple):
    """One measure of one path at one quality.

    Attributes:
        pictures: name of the set.
        path: the side path.
        quality: the setting.
        bpp: mean rate.
        measure: its name.
        label: for people.
        shares: task shares, rising from 0 to 1.
        values: the figure at each.
        smoothness: of the values.
    """

    pictures: str
    path: str
    quality: float
    bpp: float
    measure: str
    label: str
    shares: tuple[float, ...]
    values: tuple[float, ...]
    smoothness: Smoothness


def smoothness(shares: Sequence[float], values: Sequence[float], drawn: Floats | None = None) -> Smoothness:
    """Judge a curve.

    Args:
        shares: rising.
        values: one each.
        drawn: the same values under draws of pictures, [R, shares]; without them every step counts as real.
    """
    steps = np.diff(np.asarray(values, dtype=np.float64))
    change = float(values[-1] - values[0])
    back = steps * (-1.0 if change >= 0 else 1.0)  # positive: against the change
    real = back > 0
    if drawn is not None:
        low, high = np.percentile(np.diff(drawn, axis=1), (2.5, 97.5), axis=0)
        real &= (low > 0) | (high < 0)
    largest = int(np.abs(steps).argmax())
    jump = float(abs(steps[largest]))
    return Smoothness(
        change,
        bool((back <= 0).all()),
        float(max(0.0, back.max())),
        float(back[real].max()) if real.any() else 0.0,
        jump,
        float(shares[largest + 1]),
        jump / abs(change) if change else float("inf") if jump else 0.0,
    )


def transitions(
    pictures: str, path: str, shares: Sequence[float], scores: Sequence[Score], settings: Sequence[tuple[float, float]]
) -> list[Transition]:
    """Return one transition per setting and score.

    Args:
        pictures: name of the set.
        path: the side path.
        shares: those of the scores' lines, in their order.
        scores: with one line per share.
        settings: (quality, mean bpp) in the lines' order.
    """
    table = []
    for score in scores:
        lines = range(len(shares))
        figures = np.stack([score.of_line(line)[0] for line in lines], -1)  # [K, shares]
        weights = draw_weights(len(score.original), DRAWS)
        drawn = np.stack([score.of_line(line, weights) for line in lines], -1)  # [R, K, shares]
        for k, (quality, bpp) in enumerate(settings):
            values = tuple(float(value) for value in figures[k])
            names = (score.measure.name, score.measure.label)
            smooth = smoothness(shares, values, drawn[:, k])
            table.append(Transition(pictures, path, quality, bpp, *names, tuple(shares), values, smooth))
    return sorted(table, key=lambda one: one.quality)


def to_csv(table: Sequence[Transition]) -> str:
    """Return one line per point."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["pictures", "path", "quality", "bpp", "measure", "task_share", "value"])
    for one in table:
        for share, value in zip(one.shares, one.values, strict=True):
            head = [one.pictures, one.path, f"{one.quality:g}", f"{one.bpp:.5f}", one.measure]
            writer.writerow([*head, f"{share:g}", f"{value:.6f}"])
    return buffer.getvalue()


def to_json(table: Sequence[Transition]) -> str:
    """Return everything."""
    return json.dumps([{**one._asdict(), "smoothness": one.smoothness._asdict()} for one in table], indent=2) + "\n"


def to_markdown(table: Sequence[Transition], model: str) -> str:
    """Return the curves' smoothness as a table."""
    steps = len(table[0].shares) - 1
    note = (
        "Measures over task_share 0 to 1. A step back goes against the whole change; it counts as real where the "
        "paired 95 % interval of the step (bootstrap over pictures) leaves out zero. An even transition in "
        f"{steps} steps would have {1 / steps:.0%} of the change in each."
    )
    lines = [
        f"# From the main path to a side path: {model}",
        "",
        note,
        "",
        "| pictures | path | quality | measure | share 0 | share 1 | monotone | largest step back | largest step |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for one in table:
        smooth = one.smoothness
        verdict = "yes" if smooth.monotone else "within noise" if smooth.real_step_back == 0.0 else "no"
        step = f"{smooth.jump:.3g} at {smooth.jump_at:g}"
        step += f" ({smooth.jump_share:.0%} of the change)" if np.isfinite(smooth.jump_share) else ""
        lines.append(
            f"| {one.pictures} | {one.path} | {one.quality:g} | {one.label} | {one.values[0]:.4g} "
            f"| {one.values[-1]:.4g} | {verdict} | {smooth.step_back:.3g} | {step} |"
        )
    return "\n".join(lines) + "\n"


def draw(table: Sequence[Transition]) -> Figure:
    """Return one panel per measure of one path, a curve per quality."""
    labels = list(dict.fromkeys(one.label for one in table))
    qualities = sorted({one.quality for one in table})
    figure = Figure(figsize=(4.4 * len(labels), 4.3))
    for number, label in enumerate(labels):
        axes = figure.add_axes(((number + 0.17) / len(labels), 0.14, 0.76 / len(labels), 0.62))
        for one in table:
            if one.label == label:
                colour = _COLOURS[qualities.index(one.quality) % len(_COLOURS)]
                text = f"quality {one.quality:g}, {one.bpp:.2f} bpp"
                axes.plot(one.shares, one.values, marker="o", markersize=4, color=colour, linewidth=2, label=text)
        axes.set_title(label, fontsize=12, color=_INK, loc="left")
        axes.set_xlabel("task_share", fontsize=11, color=_INK)
        axes.grid(axis="y", color="#dddddd", linewidth=0.8)
        axes.set_axisbelow(True)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        if number == 0:
            figure.legend(
                *axes.get_legend_handles_labels(),
                loc="upper left",
                bbox_to_anchor=(0.02, 0.915),
                ncols=4,
                fontsize=10,
                frameon=False,
            )
    first = table[0]
    title = f"From the main path to the {first.path} path, {first.pictures}"
    figure.text(0.025, 0.95, title, fontsize=15, weight="bold", color=_INK, va="center")
    return figure
