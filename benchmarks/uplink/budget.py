"""Ten real minutes of a link's rate and of a day's quota: ``python -m benchmarks.uplink.budget``; needs root.

A camera, an encoder and a decoder of their own on a clean link. What frames weighed, headers included, stands beside
what the budget let them; and beside it every byte that the edge sent, as the kernel counts them.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from benchmarks.uplink import network, scenario
from benchmarks.uplink.scenario import Scenario
from manypath_camera.budget import ENVELOPE_BYTES, TokenBucket
from manypath_camera.pacing import wire_bytes

DELAY_SECONDS = 8.0  # that one frame may take of the link
LEAST_SHARE = 0.9  # of a budget, to be used where there are frames to spend it on
CROP = (0.3, 0.3, 0.7, 0.7)  # of the shipped photos: small frames, so that an encoder beside other work keeps up


class Spent(NamedTuple):
    """A frame that was delivered.

    Attributes:
        at: Unix seconds, when it was taken.
        bytes: of its message on the link, headers of every layer included.
        quality: that it got.
    """

    at: float
    bytes: int
    quality: float


class Row(NamedTuple):
    """What a run came to.

    Attributes:
        name: of the budget.
        seconds: from the first frame to the last, and a frame's time more.
        frames: delivered.
        allowed: bytes in that time: what came in, and what had been saved before.
        spent: by the frames.
        highest: bytes by which frames ever ran ahead of what came in, over the bytes that may be saved; 1 at most, but
            for the moment by which a frame is taken before its budget is asked.
        wire: bytes that the edge sent from its start on, handshakes, heartbeats and repetitions included.
        qualities: the lowest, the middle and the highest.
    """

    name: str
    seconds: float
    frames: int
    allowed: float
    spent: int
    highest: float
    wire: int
    qualities: tuple[float, float, float]

    @property
    def is_kept(self) -> bool:
        """Whether no more was spent than allowed, and more than nine tenths of it."""
        return LEAST_SHARE * self.allowed <= self.spent <= self.allowed


def judge(name: str, spent: Sequence[Spent], bucket: TokenBucket, *, capacity: float, every: float, wire: int) -> Row:
    """Compare what frames spent with a bucket as it was before the first of them.

    Args:
        name: of the budget.
        spent: in order of time; not empty.
        bucket: fresh.
        capacity: bytes that it can save.
        every: seconds between two frames.
        wire: bytes that the edge sent.
    """
    level = highest = 0.0
    before = spent[0].at
    for frame in spent:
        level = max(0.0, level - bucket.per_second * (frame.at - before)) + frame.bytes
        highest, before = max(highest, level), frame.at
    seconds = spent[-1].at - spent[0].at + every
    qualities = sorted(frame.quality for frame in spent)
    return Row(
        name,
        seconds,
        len(spent),
        (bucket.left or 0.0) + bucket.per_second * seconds,
        sum(frame.bytes for frame in spent),
        highest / capacity,
        wire,
        (qualities[0], qualities[len(qualities) // 2], qualities[-1]),
    )


def read(results: Path) -> list[Spent]:
    """Return what a result sink tells of delivered frames, in order of time."""
    told = [json.loads(line) for line in results.read_text().splitlines()]
    return sorted(
        Spent(
            datetime.fromisoformat(line["time"]["capturedAt"]).timestamp(),
            wire_bytes(line["bytes"] + ENVELOPE_BYTES),
            line["facts"]["quality"],
        )
        for line in told
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return 1 where a budget was not kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600, help="of each budget (default: %(default)s)")
    parser.add_argument("--every", type=float, default=4.0, help="seconds between frames (default: %(default)s)")
    parser.add_argument("--link", type=float, default=16_000, help="bits a second (default: %(default)s)")
    parser.add_argument("--quota", type=int, default=20_000_000, help="bytes a day (default: %(default)s)")
    parser.add_argument("--only", choices=("link", "quota"), help="one of the two (default: both)")
    parser.add_argument("--source", default="demo:", help="of the camera (default: %(default)s)")
    parser.add_argument("--model", default="edge", help="codec model (default: %(default)s)")
    args = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: what was started is ended
    reason = network.why_not()
    if reason:
        print(f"benchmarks.uplink.budget: not here: {reason}", file=sys.stderr)
        return 2
    link, quota = TokenBucket.of_link(args.link, DELAY_SECONDS), TokenBucket.of_day(args.quota)
    link_rate = {"link": {"bits_per_second": args.link, "max_delay_seconds": DELAY_SECONDS}}
    budgets: dict[str, tuple[str, Mapping[str, object], TokenBucket, float]] = {
        "link": (f"a link of {args.link / 1000:g} kbit/s", link_rate, link, args.link / 8 * DELAY_SECONDS),
        "quota": (f"{args.quota / 1e6:g} MB a day", {"daily_quota": args.quota}, quota, args.quota / 24),
    }
    rows = []
    for name in [args.only] if args.only else budgets:
        title, rate, bucket, capacity = budgets[name]
        camera = {"source": args.source, "every": args.every, "crop": list(CROP)}
        with tempfile.TemporaryDirectory() as folder:
            row = scenario.run(
                Scenario(title),
                Path(folder),
                cameras={"rate": rate, "cameras": {"camera": camera}},
                model=args.model,
                seconds=args.seconds,
                patience_seconds=120,
            )
            spent = read(Path(folder) / "results.jsonl")
        rows.append(judge(title, spent, bucket, capacity=capacity, every=args.every, wire=row.wire_bytes))
    print(table(rows))
    return 0 if all(row.is_kept for row in rows) else 1


def table(rows: Sequence[Row]) -> str:
    """Return rows as Markdown."""
    lines = [
        "| budget | seconds | frames | kB allowed | kB spent | of it | ahead, at most | qualities | kB on the wire |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        low, middle, high = row.qualities
        lines.append(
            f"| {row.name} | {row.seconds:.0f} | {row.frames} | {row.allowed / 1000:.0f} | {row.spent / 1000:.0f} | "
            f"{row.spent / row.allowed:.1%} | {row.highest:.0%} | {low:.1f}, {middle:.1f}, {high:.1f} | "
            f"{row.wire / 1000:.0f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
