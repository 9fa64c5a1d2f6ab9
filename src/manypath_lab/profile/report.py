"""A profile as a table for people, as CSV, as JSON and as a chart."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from manypath_lab.profile.count import MAIN, Part
from manypath_lab.profile.worker import Measured

_INK, _QUIET = "#222222", "#555555"
_COLOURS = {
    "analysis": "#0072B2",
    "hyper-analysis": "#56B4E9",
    "hyper-synthesis": "#56B4E9",
    "context": "#E69F00",
    "entropy_parameters": "#E69F00",
    "coding": "#999999",
    "synthesis": "#D55E00",
}


class Profile(NamedTuple):
    """One model's costs.

    Attributes:
        model: its name.
        note: what a reader should know; may be empty.
        parts: its stages.
        measured: latencies and memory; None where nothing was timed.
    """

    model: str
    note: str
    parts: tuple[Part, ...]
    measured: Measured | None

    @property
    def parameters(self) -> int:
        """Return all of them."""
        return sum(part.parameters for part in self.parts)

    def total(self, direction: str) -> float:
        """Return the kMAC per pixel of encoding or of decoding: the dearest analysis, the main path."""
        return sum(part.kilomacs for part in _representative(self, direction))


class Report(NamedTuple):
    """Profiles measured in one run.

    Attributes:
        profiles: in the order asked for.
        machine: what it ran on.
        setting: picture, threads, device, data type.
    """

    profiles: tuple[Profile, ...]
    machine: str
    setting: str


def _representative(profile: Profile, direction: str) -> list[Part]:
    """Return the stages that one encoding (at the highest share) or decoding (on the main path) goes through."""
    stages = ["hyper-synthesis", "context"]
    stages = ["analysis", "hyper-analysis", *stages] if direction == "encode" else [*stages, "synthesis"]
    return [
        part
        for part in profile.parts
        if part.stage in stages and part.main_share in (None, 1.0) and part.path in ("", MAIN)
    ]


def _timed_as(part: Part) -> str:
    """Return the name under which a part was timed; empty if it was not timed on its own."""
    if part.stage == "analysis" and part.main_share is not None:
        return ""  # quality 4 is timed, which lies between the shares that are counted
    if part.stage == "synthesis":
        return "decode: synthesis" if part.path == MAIN else f"decode: {part.name}"
    return f"encode: {part.stage}"


def to_markdown(report: Report) -> str:
    """Return a summary and one table per model."""
    lines = [f"{report.machine}; {report.setting}", ""]
    lines += [
        "| model | parameters | kMAC/px: encode, decode | encode, ms | decode, ms | peak MB: load, encode, decode |",
        "|---|---|---|---|---|---|",
    ]
    for profile in report.profiles:
        name = f"{profile.model} ({profile.note})" if profile.note else profile.model
        counts = f"{profile.total('encode'):.1f}, {profile.total('decode'):.1f}"
        lines.append(f"| {name} | {profile.parameters:,} | {counts} | {' | '.join(_measured_words(profile))} |")
    for profile in report.profiles:
        times = profile.measured.milliseconds if profile.measured else {}
        lines += ["", f"{profile.model}", "", "| stage | parameters | kMAC/px | ms |", "|---|---|---|---|"]
        for part in profile.parts:
            spent = times.get(_timed_as(part))
            time = "" if spent is None else f"{spent:.1f}"
            count = f"{part.parameters:,}" if part.parameters else ""
            lines.append(f"| {part.name} | {count} | {part.kilomacs:.2f} | {time} |")
        listed = {"encode", "decode", *(_timed_as(part) for part in profile.parts)}
        rest = [(name.replace("_", " "), ms) for name, ms in times.items() if name not in listed]
        lines += [f"| {name} | | | {ms:.1f} |" for name, ms in rest]
    return "\n".join(lines) + "\n"


def _measured_words(profile: Profile) -> list[str]:
    if profile.measured is None:
        return ["", "", ""]
    spent, peaks = profile.measured
    memory = ", ".join(f"{peaks[step]:.0f}" for step in ("load", "encode", "decode") if step in peaks)
    return [f"{spent['encode']:.0f}", f"{spent['decode']:.0f}", memory]


def to_csv(report: Report) -> str:
    """Return one line per figure."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["model", "what", "value", "unit"])
    for profile in report.profiles:
        for part in profile.parts:
            writer.writerow([profile.model, part.name, part.parameters, "parameters"])
            writer.writerow([profile.model, part.name, f"{part.kilomacs:.4f}", "kMAC/px"])
        if profile.measured:
            for name, spent in profile.measured.milliseconds.items():
                writer.writerow([profile.model, name, f"{spent:.3f}", "ms"])
            for name, peak in profile.measured.megabytes.items():
                writer.writerow([profile.model, f"peak memory, {name}", f"{peak:.1f}", "MB"])
    return buffer.getvalue()


def to_json(report: Report) -> str:
    """Return everything as one document."""
    models = [
        {
            "model": profile.model,
            "note": profile.note,
            "parameters": profile.parameters,
            "kilomacs_per_pixel": {way: profile.total(way) for way in ("encode", "decode")},
            "parts": [part._asdict() for part in profile.parts],
            **(profile.measured._asdict() if profile.measured else {}),
        }
        for profile in report.profiles
    ]
    return json.dumps({"machine": report.machine, "setting": report.setting, "models": models}, indent=2) + "\n"


def draw(report: Report) -> Figure:
    """Draw multiplications and, where they were measured, milliseconds: a bar per model and direction."""
    timed = [profile for profile in report.profiles if profile.measured]
    columns = 2 if timed else 1
    figure = Figure(figsize=(1.5 + 5.5 * columns, 1.9 + 0.62 * len(report.profiles)), layout="constrained")
    axes = figure.subplots(1, columns, squeeze=False)[0]
    _bars(axes[0], [(p.model, _counted(p)) for p in report.profiles], "thousand multiply-accumulates per pixel")
    if timed:
        _bars(axes[1], [(p.model, _spent(p)) for p in timed], "milliseconds per picture")
        axes[1].set_yticklabels([])
    title = f"{report.setting}\n{report.machine}" if timed else "counted, on any machine"
    figure.suptitle(title, fontsize=10, color=_QUIET)
    handles = [axes[0].barh(0, 0, color=_COLOURS[stage]) for stage in ("analysis", "context", "coding", "synthesis")]
    labels = ["analysis", "hyper and context", "coding and the rest", "synthesis"]
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize=10)
    return figure


Bar = list[tuple[str, float]]  # stage and its length


def _counted(profile: Profile) -> tuple[Bar, Bar]:
    ways = ([(p.stage, p.kilomacs) for p in _representative(profile, way)] for way in ("encode", "decode"))
    encode, decode = ways
    return encode, decode


def _spent(profile: Profile) -> tuple[Bar, Bar]:
    assert profile.measured is not None
    charts: list[Bar] = []
    for way in ("encode", "decode"):
        bars = [
            (name.split(": ")[1], spent)
            for name, spent in profile.measured.milliseconds.items()
            if name.startswith(f"{way}: ") and ", " not in name
        ]
        charts.append(sorted(bars, key=lambda one: list(_COLOURS).index(one[0])))
    return charts[0], charts[1]


def _bars(axes: Axes, rows: Sequence[tuple[str, tuple[Bar, Bar]]], what: str) -> None:
    longest = max(sum(length for _, length in bar) for _, bars in rows for bar in bars)
    for row, (_, bars) in enumerate(rows):
        for place, (way, bar) in enumerate(zip(("encode", "decode"), bars, strict=True)):
            y, left = row + 0.2 * (2 * place - 1), 0.0
            for stage, length in bar:
                axes.barh(y, length, left=left, height=0.36, color=_COLOURS[stage])
                left += length
            axes.text(left + 0.01 * longest, y, f"{way} {left:,.{0 if left >= 100 else 1}f}", va="center", fontsize=9)
    axes.set_yticks(range(len(rows)), [name for name, _ in rows], fontsize=11)
    axes.set_xlim(0, 1.22 * longest)
    axes.invert_yaxis()
    axes.set_xlabel(what, color=_INK)
    for edge in ("top", "right"):
        axes.spines[edge].set_visible(False)
