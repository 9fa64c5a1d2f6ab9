"""The command: ``python -m benchmarks.speed``."""

from __future__ import annotations

import argparse
import pathlib
import sys
import tempfile
from collections.abc import Sequence

import numpy as np
from tqdm import tqdm

from benchmarks.command import command
from benchmarks.picture import load_or_make, photo_like
from benchmarks.speed import plan, table
from benchmarks.speed.chart import save_chart
from benchmarks.speed.subjects import CLASSICAL, LEARNED, OURS
from manypath_lab.machine import Machine, this_machine

_ALL = (*OURS, *LEARNED, *CLASSICAL)

_DESCRIPTION = """\
Time our codec and others on one picture, in one run, each in a process of its own with 1 and 2 threads:
ours (edge, tiny), CompressAI's bmshj2018-hyperprior, mbt2018-mean and cheng2020-anchor (quality
4, random weights), AVIF at speed 6 and VVC (vvenc medium). Prints ratios and where our time goes; writes
speed.md, speed.csv, speed.json and a bar chart. With a CUDA device, also our codec on 1080p pictures, one at
a time and eight.

Run it on a quiet machine: every other process that computes makes its figures worthless.
"""

_EXAMPLES = """\
examples:
  python -m benchmarks.speed
  python -m benchmarks.speed --picture photo.png --output runs/speed
  python -m benchmarks.speed --subjects edge,avif --threads 2 --rounds 1
"""


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = command("speed", _DESCRIPTION, _EXAMPLES, model=False)
    parser.add_argument("--picture", metavar="FILE", help="default: a made 768x512 one with a photo's statistics")
    parser.add_argument("--output", default="benchmarks/results", metavar="DIR", help="(default: %(default)s)")
    parser.add_argument("--subjects", default=",".join(_ALL), metavar="NAME,NAME", help="(default: all)")
    parser.add_argument("--threads", default="1,2", metavar="N,N", help="(default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="turns over all subjects (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=5, help="timed calls a turn (default: %(default)s)")
    parser.add_argument(
        "--budget",
        type=float,
        default=8.0,
        metavar="SECONDS",
        help="a turn's limit a subject (default: %(default)s)",
    )
    parser.add_argument("--no-gpu", action="store_true", help="leave a CUDA device alone")
    parsed = parser.parse_args(arguments)
    parsed.subjects = _known(parser, parsed.subjects)
    parsed.threads = [int(count) for count in parsed.threads.split(",")]
    return parsed


def _known(parser: argparse.ArgumentParser, text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in _ALL:
            parser.error(f"--subjects must be among {', '.join(_ALL)}; got {name!r}")
    return names


def remarks(machine: Machine, threads: Sequence[int]) -> list[str]:
    """Return what a reader must know to trust the figures, or not to."""
    notes = []
    if not machine.bf16:
        notes.append("this CPU has no bf16 units: bf16 variants were skipped, everything counts in fp32")
    if not machine.quiet:
        notes.append(f"NOT QUIET: load average {machine.load:.1f} at the start; do not quote these figures")
    if max(threads) > machine.cpus:
        notes.append(f"only {machine.cpus} CPU(s) available: runs with more threads share them")
    return notes


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark."""
    options = parse(arguments)
    machine = this_machine()
    notes = remarks(machine, options.threads)
    print(machine.describe())
    for remark in notes:
        print(f"- {remark}")
    output = pathlib.Path(options.output)
    output.mkdir(parents=True, exist_ok=True)
    timings, failures = _measure(options, machine)
    for failure in failures:
        print(f"failed: {failure}", file=sys.stderr)
    if not timings:
        return 1
    notes += [f"failed: {failure}" for failure in failures]
    text = table.to_markdown(timings, machine, options.threads, notes)
    (output / "speed.md").write_text(text, encoding="utf-8")
    (output / "speed.csv").write_text(table.to_csv(timings), encoding="utf-8")
    (output / "speed.json").write_text(table.to_json(timings, machine, notes), encoding="utf-8")
    save_chart(timings, machine, max(options.threads), output / "speed.png")
    print(text)
    print(f"wrote speed.md, speed.csv, speed.json and speed.png to {output}")
    return 1 if failures else 0


def _measure(options: argparse.Namespace, machine: Machine) -> tuple[list[plan.Timing], list[str]]:
    """Run all rounds on the processor, then on the GPU if there is one."""
    pixels = load_or_make(options.picture, 512, 768)
    limits = {"repeats": options.repeats, "budget": options.budget}
    with tempfile.TemporaryDirectory() as folder:
        file, large = pathlib.Path(folder) / "picture.npy", pathlib.Path(folder) / "1080p.npy"
        np.save(file, pixels)
        tasks = plan.plan(options.subjects, options.threads, file, bf16=machine.bf16, **limits)
        gpu_tasks = []
        if machine.gpu and not options.no_gpu:
            np.save(large, photo_like(1080, 1920))
            gpu_tasks = plan.plan_gpu(large, **limits)
        with tqdm(total=options.rounds * (len(tasks) + len(gpu_tasks)), unit="run", disable=None) as bar:

            def advance(what: str) -> None:
                bar.set_postfix_str(what)
                bar.update()

            size = f"{pixels.shape[1]}x{pixels.shape[0]}"
            timings, failures = plan.run_rounds(tasks, options.rounds, size, advance)
            on_gpu, gpu_failures = plan.run_rounds(gpu_tasks, options.rounds, "1920x1080", advance)
    return timings + on_gpu, failures + gpu_failures


if __name__ == "__main__":
    sys.exit(main())
