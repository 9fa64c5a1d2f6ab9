"""What a GPU brings: ``python -m benchmarks.gpu``: the same symbols as the CPU, frames a second, memory.

On a machine without a CUDA device it says so and ends well: nothing is shown, and nothing is wrong.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import statistics
import sys
from collections.abc import Sequence
from time import perf_counter
from typing import NamedTuple

import torch
from tqdm import tqdm

from benchmarks.command import command
from benchmarks.exactness.__main__ import compare, report
from benchmarks.exactness.conditions import ON_GPU
from benchmarks.picture import Pixels, photo_like
from benchmarks.transfers import beside_each_other, observe
from manypath.codec import Codec
from manypath_lab.machine import this_machine

_DESCRIPTION = """\
Compare a GPU with the CPU: every entropy parameter and every stream must be equal (as benchmarks.exactness does it),
and how many pictures of 1920x1080 are encoded and decoded a second, one at a time and eight in a call, with the peak of
the device's memory. Frames a second are real ones: from pixels in memory to bytes and back, entropy coding included.
The profiler is asked whether pictures travel through pinned memory and work runs on a stream of its own, and two
codecs in two threads must write what one writes alone. The exit status is 1 if a symbol differs or one of these does
not hold; without a CUDA device nothing is measured and it is 0.
"""

_EXAMPLES = """\
examples:
  python -m benchmarks.gpu
  python -m benchmarks.gpu --model tinylic-random --batch 1 --dtype bfloat16 --output gpu.json
"""


class Throughput(NamedTuple):
    """How fast one direction is.

    Attributes:
        direction: ``encode`` or ``decode``.
        dtype: of the transforms.
        batch: pictures in a call.
        frames_per_second: of the median call.
        calls: how many were timed.
        peak_megabytes: of the device's memory, in the worst call; 0 on a CPU, where benchmarks.memory measures it.
    """

    direction: str
    dtype: str
    batch: int
    frames_per_second: float
    calls: int
    peak_megabytes: float


def measure(codec: Codec, images: Sequence[Pixels], dtype: str, seconds: float) -> list[Throughput]:
    """Encode and decode pictures in one call each, over and over for so many seconds a direction.

    Args:
        codec: ours, on any device.
        images: of one size.
        dtype: of the codec's transforms, for the result.
        seconds: of each direction; one call at least.
    """
    streams = codec.encode_batch(images, quality=4.0)
    codec.decode_batch(streams)  # both once, so that nothing is compiled or reserved while the clock runs
    results = []
    for direction in ("encode", "decode"):
        if codec.device.startswith("cuda"):
            torch.cuda.reset_peak_memory_stats(codec.device)
        calls: list[float] = []
        while not calls or sum(calls) < seconds:
            begin = perf_counter()
            if direction == "encode":
                codec.encode_batch(images, quality=4.0)  # bytes are on the host: the device has finished
            else:
                codec.decode_batch(streams)
            calls.append(perf_counter() - begin)
        peak = torch.cuda.max_memory_allocated(codec.device) if codec.device.startswith("cuda") else 0
        rate = len(images) / statistics.median(calls)
        results.append(Throughput(direction, dtype, len(images), rate, len(calls), peak / 1e6))
    return results


def table(results: Sequence[Throughput]) -> str:
    """Return Markdown."""
    lines = ["| direction | dtype | batch | frames a second | peak MB of the device |", "|---|---|---|---|---|"]
    lines += [
        f"| {one.direction} | {one.dtype} | {one.batch} | {one.frames_per_second:.2f} | {one.peak_megabytes:.0f} |"
        for one in results
    ]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; 1 if a symbol differs from the CPU's, or copies and streams are not as wanted."""
    options = _parser().parse_args(arguments)
    machine = this_machine()
    print(f"{machine.describe()}; model {options.model}")
    if not machine.gpu:
        print("no CUDA device here: nothing was measured")
        return 0
    verdicts = compare(options.model, ON_GPU)
    print(report(verdicts))
    used = observe(Codec.load(options.model, device=options.device), photo_like(options.height, options.width, 0))
    print(
        f"streams {sorted(used.streams)} (0 is the default one), {used.pinned} pinned copies, "
        f"{len(used.pageable)} others: {'as wanted' if used.as_wanted else 'NOT as wanted'}"
    )
    together = beside_each_other(options.model, options.device, photo_like(256, 384, 1))
    print(f"two codecs in two threads write {'the same as' if together else 'NOT the same as'} one alone")
    results: list[Throughput] = []
    images = [photo_like(options.height, options.width, seed) for seed in range(max(options.batch or (1, 8)))]
    plan = [(dtype, batch) for dtype in options.dtype or ("float32", "bfloat16") for batch in options.batch or (1, 8)]
    for dtype, batch in tqdm(plan, unit="setting", disable=None):
        codec = Codec.load(options.model, device=options.device, dtype=dtype)
        results += measure(codec, images[:batch], dtype, options.seconds)
    print(f"{options.width}x{options.height}, quality 4")
    print(table(results))
    same = not any(verdict.differences for verdict in verdicts)
    if options.output:
        content = {
            "machine": machine._asdict(),
            "model": options.model,
            "same_symbols": same,
            "transfers": {"streams": sorted(used.streams), "pinned": used.pinned, "pageable": used.pageable},
            "same_beside_each_other": together,
            "throughput": [one._asdict() for one in results],
        }
        pathlib.Path(options.output).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return 0 if same and used.as_wanted and together else 1


def _parser() -> argparse.ArgumentParser:
    parser = command("gpu", _DESCRIPTION, _EXAMPLES)
    parser.add_argument("--device", default="cuda", help="cuda or cuda:N, for the frames (default: %(default)s)")
    parser.add_argument("--batch", type=int, action="append", help="pictures in a call; repeat it (default: 1 and 8)")
    parser.add_argument(
        "--dtype",
        action="append",
        choices=("float32", "bfloat16"),
        help="of the transforms; repeat it (default: both)",
    )
    parser.add_argument("--width", type=int, default=1920, help="pixels (default: %(default)s)")
    parser.add_argument("--height", type=int, default=1080, help="pixels (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each direction (default: %(default)s)")
    parser.add_argument("--output", metavar="FILE", help="also write the figures as JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main())
