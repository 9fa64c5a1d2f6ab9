"""How threads should wait for each other: ``python -m benchmarks.threads``.

Encodes and decodes one picture with one thread, and with two that sleep at every barrier, spin for a while, or spin
without bound: alone, and beside processes that compute. Every turn is a process of its own, and turns alternate, so
that a disturbance does not hit one way of waiting alone.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from benchmarks.picture import load_or_make
from benchmarks.speed.plan import run_worker
from benchmarks.speed.worker import Task
from manypath_lab.machine import Machine, this_machine, thread_environment

WAYS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "sleep": {"OMP_WAIT_POLICY": "PASSIVE"},
        "spin 20000 times": {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "20000"},
        "spin without bound": {"OMP_WAIT_POLICY": "ACTIVE"},
    }
)
NEIGHBOUR = "import numpy\nx = numpy.ones((256, 256), numpy.float32)\nwhile True: x @ x"


class Setting(NamedTuple):
    """One line of the table: threads, how they wait, and how many processes compute beside them."""

    threads: int
    way: str
    neighbours: int


class Measured(NamedTuple):
    """Median milliseconds of one setting over all its turns."""

    setting: Setting
    encode_ms: float
    decode_ms: float


def settings(threads: Sequence[int], neighbours: Sequence[int]) -> list[Setting]:
    """Return what is measured: one thread waits for nobody, so it has one line for each number of neighbours."""
    return [
        Setting(count, way, beside)
        for beside in neighbours
        for count in threads
        for way in (list(WAYS) if count > 1 else ["sleep"])
    ]


def environment(setting: Setting) -> dict[str, str]:
    """Return the environment of a turn: only its own way of waiting."""
    plain = {name: value for name, value in thread_environment(setting.threads).items() if name != "GOMP_SPINCOUNT"}
    return plain | dict(WAYS[setting.way])


@contextmanager
def beside(neighbours: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Let so many processes compute, each on one thread, while the block runs."""
    alone = thread_environment(1)
    running = [subprocess.Popen([sys.executable, "-c", NEIGHBOUR], env=alone) for _ in range(neighbours)]
    try:
        yield running
    finally:
        for process in running:
            process.kill()
        for process in running:
            process.wait()


def measure(every: Sequence[Setting], picture: pathlib.Path, rounds: int, repeats: int, dtype: str) -> list[Measured]:
    """Take turns over all settings."""
    encode: dict[Setting, list[float]] = {setting: [] for setting in every}
    decode: dict[Setting, list[float]] = {setting: [] for setting in every}
    for _ in range(rounds):
        for setting in every:
            task = Task("edge", dtype, False, setting.threads, "cpu", 1, str(picture), repeats, 60.0)
            with beside(setting.neighbours):
                result = run_worker(task, environment(setting))
            encode[setting] += result.encode.seconds
            decode[setting] += result.decode.seconds
    return [
        Measured(setting, 1000 * statistics.median(encode[setting]), 1000 * statistics.median(decode[setting]))
        for setting in every
    ]


def to_markdown(found: Sequence[Measured], machine: Machine, dtype: str) -> str:
    """Return the table; each line with its times over those of one thread beside as many neighbours."""
    quiet = "quiet" if machine.quiet else f"NOT QUIET, load {machine.load:.1f} at the start: do not quote these figures"
    lines = [
        f"{machine.describe()}, {quiet}. Medians in milliseconds, {dtype}.",
        "",
        "| beside | threads | at a barrier they | encode | decode | times one thread's speed: encode, decode |",
        "|---|---|---|---|---|---|",
    ]
    single = {own.setting.neighbours: own for own in found if own.setting.threads == 1}
    for setting, encode, decode in found:
        one = single.get(setting.neighbours)
        gain = f"{one.encode_ms / encode:.2f}, {one.decode_ms / decode:.2f}" if one else ""
        who = f"{setting.neighbours} busy processes" if setting.neighbours else "nobody"
        way = setting.way if setting.threads > 1 else "-"
        lines.append(f"| {who} | {setting.threads} | {way} | {encode:.1f} | {decode:.1f} | {gain} |")
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.threads", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--picture", metavar="FILE", help="default: a made 768x512 one with a photo's statistics")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), help="(default: bfloat16 where it is multiplied)")
    parser.add_argument("--threads", default="1,2", metavar="N,N", help="(default: %(default)s)")
    parser.add_argument("--neighbours", default="0,2", metavar="N,N", help="busy processes (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="turns over all settings (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=15, help="timed calls a turn (default: %(default)s)")
    parser.add_argument("--output", metavar="FILE", help="also write the figures as JSON")
    options = parser.parse_args(arguments)
    machine = this_machine()
    dtype = options.dtype or ("bfloat16" if machine.bf16 else "float32")
    counts, others = ([int(own) for own in text.split(",")] for text in (options.threads, options.neighbours))
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "picture.npy"
        np.save(file, load_or_make(options.picture, 512, 768))
        found = measure(settings(counts, others), file, options.rounds, options.repeats, dtype)
    print(to_markdown(found, machine, dtype), end="")
    if options.output:
        rows = [own.setting._asdict() | {"encode_ms": own.encode_ms, "decode_ms": own.decode_ms} for own in found]
        content = {"machine": machine._asdict(), "dtype": dtype, "rows": rows}
        pathlib.Path(options.output).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
