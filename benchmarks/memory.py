"""Peak memory of encoding and decoding a 4K picture: ``python -m benchmarks.memory``.

Each direction runs in a process of its own, which reports the largest resident set it ever had: interpreter,
libraries, weights and activations together, as an operator of the service would see it.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from benchmarks.command import command
from benchmarks.picture import load_or_make
from manypath_lab.machine import this_machine, thread_environment, use_threads

ROOT = pathlib.Path(__file__).resolve().parents[1]
LIMIT_MB = 2500.0  # the promise, for a 3840x2160 picture, each way
STEPS = ("load", "encode", "decode")

_EXAMPLES = """\
examples:
  python -m benchmarks.memory
  python -m benchmarks.memory --model edge --width 1920 --height 1080 --threads 1
"""


class Peak(NamedTuple):
    """The peak of one process.

    Attributes:
        step: ``load`` (imports and weights only), ``encode`` or ``decode``.
        megabytes: Largest resident set, 10**6 bytes.
    """

    step: str
    megabytes: float


class Task(NamedTuple):
    """One step of one model.

    Attributes:
        model: Model's name or file.
        dtype: ``float32`` or ``bfloat16``.
        picture: ``.npy`` file of a uint8 [H, W, 3] picture.
        stream: File that ``encode`` writes and ``decode`` reads.
        threads: Threads and processors to use.
        step: One of ``STEPS``.
    """

    model: str
    dtype: str
    picture: str
    stream: str
    threads: int
    step: str = "load"


def peak_megabytes() -> float:
    """Return the largest resident set this process has had, in 10**6 bytes.

    From VmHWM: ``ru_maxrss`` of a process that a larger one started begins at the larger one's peak.
    """
    status = pathlib.Path("/proc/self/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024 / 1e6


def work(task: Task) -> float:
    """Do one step in this process and return its peak in megabytes."""
    use_threads(task.threads)
    from manypath.codec import Codec

    codec = Codec.load(task.model, dtype=task.dtype)
    stream = pathlib.Path(task.stream)
    if task.step == "encode":
        stream.write_bytes(codec.encode(np.load(task.picture)))
    elif task.step == "decode":
        codec.decode(stream.read_bytes())
    return peak_megabytes()


def measure(task: Task) -> list[Peak]:
    """Run every step in a process of its own.

    Raises:
        RuntimeError: A step failed; the message ends with its last words.
    """
    peaks = []
    for step in STEPS:
        order = json.dumps(task._replace(step=step)._asdict())
        command = [sys.executable, "-m", "benchmarks.memory", "--worker", order]
        environment = thread_environment(task.threads)
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{step} failed: {done.stderr.strip()[-400:]}")
        peaks.append(Peak(step, float(done.stdout.strip().splitlines()[-1])))
    return peaks


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = command("memory", __doc__, _EXAMPLES)
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"), help="(default: float32)")
    parser.add_argument("--picture", metavar="FILE", help="default: a made one with a photo's statistics")
    parser.add_argument("--width", type=int, default=3840, help="of the made picture (default: %(default)s)")
    parser.add_argument("--height", type=int, default=2160, help="of the made picture (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="(default: %(default)s)")
    parser.add_argument("--output", metavar="FILE", help="also write the figures as JSON")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; 1 if a peak is above the promise, 2 if a step failed."""
    options = parse(arguments)
    if options.worker:
        print(work(Task(**json.loads(options.worker))))
        return 0
    pixels = load_or_make(options.picture, options.height, options.width)
    height, width, _ = pixels.shape
    print(f"{this_machine().describe()}; {options.model} {options.dtype}, {options.threads} thread(s)")
    with tempfile.TemporaryDirectory() as folder:
        picture, stream = pathlib.Path(folder) / "picture.npy", pathlib.Path(folder) / "stream.mpth"
        np.save(picture, pixels)
        del pixels
        try:
            peaks = measure(Task(options.model, options.dtype, str(picture), str(stream), options.threads))
        except RuntimeError as err:
            print(err, file=sys.stderr)
            return 2
    print(f"| step, {width}x{height} | peak resident set, MB |")
    print("|---|---|")
    for peak in peaks:
        print(f"| {peak.step} | {peak.megabytes:.0f} |")
    highest = max(peak.megabytes for peak in peaks)
    verdict = "PASS" if highest < LIMIT_MB else "ABOVE"
    print(f"{verdict}: highest {highest:.0f} MB, promised below {LIMIT_MB:.0f} MB for 3840x2160")
    if options.output:
        figures = {
            "width": width,
            "height": height,
            **vars(options),
            "peaks": [peak._asdict() for peak in peaks],
        }
        del figures["worker"]
        pathlib.Path(options.output).write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 0 if highest < LIMIT_MB else 1


if __name__ == "__main__":
    sys.exit(main())
