"""The figures of a run as tables: where our time goes, and how many times faster than each baseline we are."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Literal, NamedTuple

from benchmarks.speed.plan import Timing
from benchmarks.speed.subjects import OURS
from manypath_lab.machine import Machine

Direction = Literal["encode", "decode"]
DIRECTIONS: tuple[Direction, ...] = ("encode", "decode")
STAGES = ("analysis", "entropy_parameters", "coding", "synthesis")
MPA = "MPA (published)"
QUOTED_NOTE = (
    f"{MPA} is quoted, not measured: its authors' network with 2 threads on another machine, a 2-core Xeon "
    "with AMX, 768x512; ratios to it compare two machines."
)


class Best(NamedTuple):
    """The fastest variant of a subject in one direction.

    Attributes:
        subject: Name of the codec.
        ms: Milliseconds per picture.
        variant: The variant that needed them.
    """

    subject: str
    ms: float
    variant: str


# Encode and decode of a 768x512 picture, 2 threads, as measured when this project began.
QUOTED = {
    "encode": Best(MPA, 1752.0, "bf16, quoted (fp32: 2744)"),
    "decode": Best(MPA, 1802.0, "bf16, quoted (fp32: 2956)"),
}


def milliseconds(timing: Timing, direction: Direction) -> float:
    """Return a timing's figure of one direction."""
    return timing.encode_ms if direction == "encode" else timing.decode_ms


def best(timings: Sequence[Timing], subject: str, threads: int, direction: Direction) -> Best | None:
    """Return a subject's fastest variant on the processor, one picture at a time; None without one."""
    runs = [
        timing
        for timing in timings
        if (timing.subject, timing.threads, timing.device, timing.batch) == (subject, threads, "cpu", 1)
    ]
    if not runs:
        return None
    fastest = min(runs, key=lambda timing: milliseconds(timing, direction))
    return Best(subject, milliseconds(fastest, direction), fastest.variant)


def stage_table(timings: Sequence[Timing]) -> list[str]:
    """Return Markdown: milliseconds per stage of our codec in every variant."""
    lines = [
        "| codec | device | threads | batch | dtype | direction | " + " | ".join(STAGES) + " | whole call | bytes |",
        "|---|---|---|---|---|---|" + "---|" * (len(STAGES) + 2),
    ]
    for timing in timings:
        if timing.subject not in OURS:
            continue
        for direction in DIRECTIONS:
            stages = timing.encode_stages_ms if direction == "encode" else timing.decode_stages_ms
            cells = [f"{stages[stage]:.1f}" if stage in stages else "" for stage in STAGES]
            setting = f"{timing.device} | {timing.threads} | {timing.batch} | {timing.variant} | {direction}"
            whole = f"{milliseconds(timing, direction):.1f}"
            lines.append(f"| {timing.subject} | {setting} | " + " | ".join(cells) + f" | {whole} | {timing.bytes} |")
    return lines


def ratio_table(timings: Sequence[Timing], threads: int) -> list[str]:
    """Return Markdown: each baseline's best milliseconds, and how many times faster each model of ours is."""
    ours = [name for name in OURS if best(timings, name, threads, "encode")]
    head = [f"| {threads} thread(s) | direction | ms | at its best in |", "|---|---|---|---|"]
    lines = [head[0] + "".join(f" {name} is faster by |" for name in ours), head[1] + "---|" * len(ours)]
    subjects = [*ours, *dict.fromkeys(timing.subject for timing in timings if timing.subject not in OURS)]
    for subject in subjects:
        for direction in DIRECTIONS:
            anchor = best(timings, subject, threads, direction)
            if anchor is not None:
                lines.append(_ratio_row(anchor, direction, timings, ours, threads))
    if threads == 2:
        lines += [_ratio_row(QUOTED[direction], direction, timings, ours, threads) for direction in DIRECTIONS]
    return lines


def _ratio_row(anchor: Best, direction: Direction, timings: Sequence[Timing], ours: Sequence[str], threads: int) -> str:
    cells = []
    for name in ours:
        fastest = best(timings, name, threads, direction)
        cells.append(f"{anchor.ms / fastest.ms:.2f}x" if fastest and name != anchor.subject else "")
    return f"| {anchor.subject} | {direction} | {anchor.ms:.1f} | {anchor.variant} | " + " | ".join(cells) + " |"


# What the codec is held to: so many times the speed of a peer at its best, encoding and decoding; None: no bar.
BARS: Mapping[str, tuple[float, float | None]] = MappingProxyType(
    {"bmshj2018-hyperprior": (2.5, 2.5), "avif": (3.0, None)}
)


def bar_table(timings: Sequence[Timing], threads: int) -> list[str]:
    """Return Markdown: each variant of ``edge`` against what it is held to, each peer at its best."""
    lines = [f"| {threads} thread(s): edge in | over | direction | is faster by | bar | |", "|---|---|---|---|---|---|"]
    own = [one for one in timings if (one.subject, one.threads, one.device, one.batch) == ("edge", threads, "cpu", 1)]
    for timing in own:
        for peer, bars in BARS.items():
            for direction, bar in zip(DIRECTIONS, bars, strict=True):
                anchor = best(timings, peer, threads, direction)
                if anchor is None or bar is None:
                    continue
                ratio = anchor.ms / milliseconds(timing, direction)
                name = f"{peer} {anchor.variant}".strip()
                word = "met" if ratio >= bar else "missed"
                lines.append(f"| {timing.variant} | {name} | {direction} | {ratio:.2f}x | {bar:g}x | {word} |")
    return lines if len(lines) > 2 else []


def to_markdown(timings: Sequence[Timing], machine: Machine, threads: Sequence[int], remarks: Sequence[str]) -> str:
    """Return the whole report."""
    sizes = ", ".join(dict.fromkeys(timing.size for timing in timings))
    lines = [
        "# Speed beside baselines, one run",
        "",
        f"{machine.describe()}. Picture {sizes}. Median of all calls, milliseconds per picture, from pixels",
        "in memory to bytes and back, real entropy coding. Each codec counts with its fastest variant.",
        "",
        *(f"- {remark}" for remark in remarks),
    ]
    for count in threads:
        lines += ["", *ratio_table(timings, count)]
        bars = bar_table(timings, count)
        lines += ["", *bars] if bars else []
    lines += ["", "Where our time goes, milliseconds per picture:", "", *stage_table(timings), ""]
    notes = dict.fromkeys(f"- {timing.subject}: {timing.note}" for timing in timings if timing.note)
    lines += [*notes, f"- {QUOTED_NOTE}"]
    return "\n".join(lines) + "\n"


def to_csv(timings: Sequence[Timing]) -> str:
    """Return one line per subject, variant and setting."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    stages = [f"{direction}_{stage}_ms" for direction in DIRECTIONS for stage in STAGES]
    fields = ["subject", "variant", "threads", "device", "batch", "size", "samples", "bytes"]
    writer.writerow([*fields, "encode_ms", "decode_ms", *stages, "note"])
    for timing in timings:
        row = [getattr(timing, field) for field in fields]
        row += [f"{timing.encode_ms:.3f}", f"{timing.decode_ms:.3f}"]
        for spent in (timing.encode_stages_ms, timing.decode_stages_ms):
            row += [f"{spent[stage]:.3f}" if stage in spent else "" for stage in STAGES]
        writer.writerow([*row, timing.note])
    return buffer.getvalue()


def to_json(timings: Sequence[Timing], machine: Machine, remarks: Sequence[str]) -> str:
    """Return the whole report as one document."""
    content = {
        "machine": machine._asdict(),
        "remarks": list(remarks),
        "timings": [timing._asdict() for timing in timings],
        "quoted": {direction: one._asdict() for direction, one in QUOTED.items()},
    }
    return json.dumps(content, indent=2) + "\n"
