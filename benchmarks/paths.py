"""What several paths of one bitstream cost together: ``python -m benchmarks.paths [--model FILE]``.

Decoding along one path is timed against decoding along all paths in one call, where the symbols and what the paths
have in common are computed once, and against one call for each. The three take turns in every round, so that what
else the machine does hits them alike. The pictures of both ways are compared, sample by sample.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from benchmarks.command import command
from benchmarks.picture import Pixels, load_or_make
from manypath.codec import Codec, StageTimings
from manypath_lab.machine import this_machine, thread_environment, use_threads


class Way(NamedTuple):
    """One way to get pictures.

    Attributes:
        name: for the table.
        seconds: median, by the clock.
        cpu_seconds: median, of the processors.
        stages: median seconds of each stage.
    """

    name: str
    seconds: float
    cpu_seconds: float
    stages: dict[str, float]


def measure(codec: Codec, bitstream: bytes, paths: Sequence[str], rounds: int) -> tuple[list[Way], bool]:
    """Return the ways' times and whether they gave the same pictures."""
    requests = [(path, 1.0) for path in paths]

    def together(timings: StageTimings) -> list[Pixels]:
        return codec.decode_paths(bitstream, requests, timings=timings)

    def separately(timings: StageTimings) -> list[Pixels]:
        return [codec.decode(bitstream, path=path, timings=timings) for path in paths]

    def one(timings: StageTimings) -> list[Pixels]:
        return codec.decode_paths(bitstream, requests[:1], timings=timings)

    ways: dict[str, Callable[[StageTimings], list[Pixels]]] = {
        f"1 path ({paths[0]})": one,
        f"{len(paths)} paths in one call": together,
        f"{len(paths)} paths in {len(paths)} calls": separately,
    }
    same = all(
        np.array_equal(image, other) for image, other in zip(*map(_pictures, (together, separately)), strict=True)
    )
    spent: dict[str, list[tuple[float, float, dict[str, float]]]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            timings = StageTimings()
            begin, begin_cpu = time.perf_counter(), time.process_time()
            way(timings)
            spent[name].append((time.perf_counter() - begin, time.process_time() - begin_cpu, timings.seconds))
    return [_median(name, samples) for name, samples in spent.items()], same


def _pictures(way: Callable[[StageTimings], list[Pixels]]) -> list[Pixels]:
    return way(StageTimings())


def _median(name: str, samples: Sequence[tuple[float, float, dict[str, float]]]) -> Way:
    stages = {
        stage: statistics.median(stages.get(stage, 0.0) for *_, stages in samples)
        for stage in dict.fromkeys(stage for *_, stages in samples for stage in stages)
    }
    return Way(
        name,
        statistics.median(seconds for seconds, _, _ in samples),
        statistics.median(seconds for _, seconds, _ in samples),
        stages,
    )


def report(ways: Sequence[Way], same: bool) -> None:
    """Print the table."""
    stages = list(dict.fromkeys(stage for way in ways for stage in way.stages))
    print(
        f"{'ms, medians':<26}{'clock':>10}{'CPU':>10}" + "".join(f"{stage.replace('_', ' '):>20}" for stage in stages)
    )
    for way in ways:
        row = f"{way.name:<26}{1000 * way.seconds:>10.1f}{1000 * way.cpu_seconds:>10.1f}"
        print(row + "".join(f"{1000 * way.stages.get(stage, 0.0):>20.1f}" for stage in stages))
    one, together, separately = ways
    print(
        f"one call takes {together.cpu_seconds / one.cpu_seconds:.2f}x of a single path, separate calls "
        f"{separately.cpu_seconds / one.cpu_seconds:.2f}x: sharing saves "
        f"{1 - together.cpu_seconds / separately.cpu_seconds:.0%} of the processors' time"
    )
    print(f"{'PASS' if same else 'DIFFERENT'}: both ways give the same pictures")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; return 0, or 1 where the ways disagree, or 2 where there is nothing to compare."""
    args = _parser().parse_args(arguments)
    codec = Codec.load(args.model)
    paths = args.paths.split(",") if args.paths else sorted(codec.sides)
    untrained = [path for path in paths if not codec.serves(path)]
    if untrained or len(paths) < 2:  # the same path twice would be no comparison
        print(f"needs two paths with weights in {args.model}, got {', '.join(paths) or 'none'}", file=sys.stderr)
        return 2
    image = load_or_make(args.picture, args.height, args.width)
    bitstream = codec.encode(image, quality=args.quality)
    ways, same = measure(codec, bitstream, paths, args.rounds)
    machine = this_machine()
    print(machine.describe())
    print(
        f"{codec.name}, {image.shape[1]}x{image.shape[0]}, quality {args.quality:g}, {args.threads} thread(s), "
        f"{args.rounds} rounds, load {machine.load:.1f}; paths: {', '.join(paths)}"
    )
    report(ways, same)
    if args.output:
        content = {"machine": machine._asdict(), "paths": paths, "same": same, "ways": [way._asdict() for way in ways]}
        pathlib.Path(args.output).write_text(json.dumps(content, indent=2) + "\n")
    return 0 if same else 1


def _parser() -> argparse.ArgumentParser:
    parser = command("paths", __doc__)
    parser.add_argument("--paths", help="names, with commas between (default: every side path that the model has)")
    parser.add_argument("--picture", help="(default: a made one)")
    parser.add_argument("--width", type=int, default=768, help="of a made one, pixels (default: %(default)s)")
    parser.add_argument("--height", type=int, default=512, help="of a made one, pixels (default: %(default)s)")
    parser.add_argument("--quality", type=float, default=4.0, help="(default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="(default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=15, help="(default: %(default)s)")
    parser.add_argument("--output", help="also write the figures as JSON")
    return parser


if __name__ == "__main__":
    threads = _parser().parse_args().threads
    if os.environ.get("OMP_NUM_THREADS") != str(threads):  # libraries read it when they are loaded
        again = [sys.executable, "-m", "benchmarks.paths", *sys.argv[1:]]
        os.execve(sys.executable, again, thread_environment(threads))  # noqa: S606
    use_threads(threads)
    sys.exit(main())
