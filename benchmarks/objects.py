"""Bytes that looking first saves on a sequence: ``python -m benchmarks.objects --pictures DIR --class person``.

The frames of a folder, in order, are taken as a camera's. Three ways to send them are compared by real bytes: every
frame; only frames that show the chosen classes (and those shortly after), by the camera client's own filter; every
frame, but at a low quality where nothing is shown. Beside the bytes stand the seconds that looking and encoding took.
"""

from __future__ import annotations

import json
import pathlib
import sys
import time
from collections.abc import Sequence
from typing import NamedTuple

import torch
from tqdm import tqdm

from benchmarks.command import command
from manypath.codec import Codec
from manypath_camera.objects import EdgeDetector, ObjectFilter, Wish, default_folder
from manypath_lab.evaluation.pictures import list_pictures, load_picture

CAMERA = "sequence"


class Frame(NamedTuple):
    """What became of one frame.

    Attributes:
        file: its name.
        wanted: whether the filter sends it.
        shown: whether the chosen classes are in it.
        bytes: at the quality asked for.
        low_bytes: at the low quality.
        look_seconds: of the detector.
        encode_seconds: of the encoder, at the quality asked for.
    """

    file: str
    wanted: bool
    shown: bool
    bytes: int
    low_bytes: int
    look_seconds: float
    encode_seconds: float


def measure(
    codec: Codec,
    files: Sequence[pathlib.Path],
    detector: EdgeDetector,
    wish: Wish,
    *,
    rate: float,
    qualities: tuple[float, float],
) -> list[Frame]:
    """Send a sequence.

    Args:
        codec: ours.
        files: its frames, in order.
        detector: that looks.
        wish: what frames must show.
        rate: frames a second, for the filter's clock.
        qualities: the one asked for, and the low one.
    """
    seconds = 0.0
    chosen = ObjectFilter(detector, {CAMERA: wish}, lambda: seconds)
    frames = []
    for number, file in enumerate(tqdm(files, unit="frame", disable=None)):
        seconds = number / rate
        image = load_picture(file).pixels
        started = time.perf_counter()
        wanted = chosen.wants(CAMERA, image)
        looked = time.perf_counter()
        size = len(codec.encode(image, quality=qualities[0]))
        encoded = time.perf_counter()
        low = len(codec.encode(image, quality=qualities[1]))
        scores = detector.best_scores(image)
        shown = any(scores.get(name, 0.0) >= wish.min_score for name in wish.classes)
        frames.append(Frame(file.name, wanted, shown, size, low, looked - started, encoded - looked))
    return frames


def summary(frames: Sequence[Frame]) -> dict[str, float]:
    """Return bytes of each way, frames sent, and median seconds."""
    everything = sum(frame.bytes for frame in frames)
    sent = sum(frame.bytes for frame in frames if frame.wanted)
    mixed = sum(frame.bytes if frame.wanted else frame.low_bytes for frame in frames)
    middle = len(frames) // 2
    return {
        "frames": len(frames),
        "shown": sum(frame.shown for frame in frames),
        "sent": sum(frame.wanted for frame in frames),
        "bytes_everything": everything,
        "bytes_sent": sent,
        "bytes_mixed": mixed,
        "saved": 1.0 - sent / everything,
        "saved_mixed": 1.0 - mixed / everything,
        "look_seconds": sorted(frame.look_seconds for frame in frames)[middle],
        "encode_seconds": sorted(frame.encode_seconds for frame in frames)[middle],
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = command("objects", __doc__)
    parser.add_argument("--pictures", type=pathlib.Path, required=True, metavar="DIR", help="frames, in order of name")
    parser.add_argument("--class", dest="classes", action="append", required=True, metavar="NAME", help="repeat it")
    parser.add_argument("--min-score", type=float, default=0.3, help="of what is shown (default: %(default)s)")
    parser.add_argument("--linger", type=float, default=0.0, help="seconds sent after it (default: %(default)s)")
    parser.add_argument("--rate", type=float, default=1.0, help="frames a second (default: %(default)s)")
    parser.add_argument("--quality", type=float, default=4.0, help="1..8 (default: %(default)s)")
    parser.add_argument("--low-quality", type=float, default=1.0, help="where nothing is shown (default: %(default)s)")
    parser.add_argument("--detector", type=pathlib.Path, metavar="DIR", help="its folder (default: the cache's)")
    parser.add_argument("--output", type=pathlib.Path, metavar="FILE", help="write each frame's figures as JSON")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    detector = EdgeDetector(args.detector or default_folder())
    wish = Wish(tuple(args.classes), args.min_score, args.linger)
    files = list_pictures(args.pictures)
    qualities = (args.quality, args.low_quality)
    frames = measure(Codec.load(args.model), files, detector, wish, rate=args.rate, qualities=qualities)
    told = summary(frames)
    print(f"{told['frames']} frames, {told['shown']} of them show {' or '.join(args.classes)}")
    print(f"every frame at quality {args.quality:g}: {told['bytes_everything']:,} bytes")
    print(
        f"only those (and {args.linger:g} s after): {told['sent']} frames, {told['bytes_sent']:,} bytes, "
        f"{told['saved']:.0%} saved"
    )
    low = f"the others at quality {args.low_quality:g}"
    print(f"{low}: {told['bytes_mixed']:,} bytes, {told['saved_mixed']:.0%} saved")
    look, encode = (1e3 * told[key] for key in ("look_seconds", "encode_seconds"))
    print(f"median of one thread: looking {look:.0f} ms, encoding {encode:.0f} ms")
    if args.output:
        args.output.write_text(json.dumps({"summary": told, "frames": [frame._asdict() for frame in frames]}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
