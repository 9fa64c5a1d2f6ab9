"""Measures cameras through a bad uplink: ``python -m benchmarks.uplink``; needs root, for network namespaces."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.uplink import network, scenario
from benchmarks.uplink.link import Conditions
from benchmarks.uplink.scenario import Event, Row, Scenario
from benchmarks.uplink.site import RTSP_PORT

SLOW = Conditions(delay_seconds=0.2, loss=0.02, bits_per_second=256_000, reorder=0.01)

SCENARIOS = {
    "clean": Scenario("a clean link"),
    "lossy": Scenario("200 ms each way, 2 % loss", Conditions(delay_seconds=0.2, loss=0.02)),
    "slow": Scenario("256 kbit/s", Conditions(bits_per_second=256_000)),
    "reorder": Scenario("5 % reordered", Conditions(delay_seconds=0.02, reorder=0.05)),
    "down": Scenario("down for 60 s", events=(Event(20, "down"), Event(80, "up"))),
    "cut": Scenario("a middle box cuts streams every 15 s", middle_box=True),
    "killed": Scenario(
        "all three killed, one after another",
        events=(Event(20, "kill decoder"), Event(40, "kill encoder"), Event(60, "kill camera")),
    ),
    "worst": Scenario(
        "200 ms, 2 % loss, 256 kbit/s, 1 % reordered; down for 60 s; decoder killed three times, edge once",
        SLOW,
        (
            Event(240, "kill decoder"),
            Event(480, "down"),
            Event(540, "up"),
            Event(780, "kill decoder"),
            Event(1020, "kill encoder"),
            Event(1320, "kill decoder"),
        ),
    ),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return 1 where a frame was lost or came twice."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help="default: all but the worst")
    parser.add_argument("--seconds", type=float, default=120, help="that frames are taken for (default: %(default)s)")
    parser.add_argument("--source", default="demo:", help="of the camera (default: %(default)s)")
    parser.add_argument(
        "--rtsp", metavar="PATH", help="the camera is a RTSP server's /h264, /mjpeg or /small, by GStreamer"
    )
    parser.add_argument("--every", type=float, default=2.0, help="seconds between frames (default: %(default)s)")
    parser.add_argument("--link", type=float, default=128_000, help="bits a second that frames may use")
    parser.add_argument("--model", default="edge", help="codec model (default: %(default)s)")
    parser.add_argument("--output", type=Path, help="folder for logs and results; it is kept")
    args = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: what was started is ended
    reason = network.why_not()
    if reason:
        print(f"benchmarks.uplink: not here: {reason}", file=sys.stderr)
        return 2
    source = f"rtsp://127.0.0.1:{RTSP_PORT}{args.rtsp}" if args.rtsp else args.source
    cameras = {
        "rate": {"link": {"bits_per_second": args.link, "max_delay_seconds": 2.0}},
        "pictures": ["perceptual"],
        "cameras": {"camera": {"source": source, "every": args.every}},
    }
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        for name in args.scenarios or [name for name in SCENARIOS if name != "worst"]:
            folder = (args.output or Path(temporary)) / name
            folder.mkdir(parents=True)
            print(f"-- {SCENARIOS[name].name}", file=sys.stderr, flush=True)
            row = scenario.run(
                SCENARIOS[name],
                folder,
                cameras=cameras,
                model=args.model,
                seconds=args.seconds,
                patience_seconds=600,
                rtsp=bool(args.rtsp),
                progress=_say,
            )
            rows.append(row)
            print(table([row]), file=sys.stderr, flush=True)
    print(table(rows))
    return 0 if all(row.is_whole for row in rows) else 1


def table(rows: Sequence[Row]) -> str:
    """Return rows as Markdown."""
    lines = [
        (
            "| link | seconds | taken | encoded | delivered | twice | later than 10 s | greatest age (s) | "
            "kB of frames | kB on the wire | emptied after (s) | CPU of camera, encoder, decoder | MiB of each |"
        ),
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        parts = [row.usage[part] for part in ("camera", "encoder", "decoder")]
        wall = row.seconds + row.drained_seconds
        shares = ", ".join(f"{100 * part.cpu_seconds / wall:.0f} %" for part in parts)
        memory = ", ".join(f"{part.memory_bytes / 2**20:.0f}" for part in parts)
        lines.append(
            f"| {row.name} | {row.seconds:.0f} | {row.taken} | {row.sent} | {row.delivered} | {row.twice} | "
            f"{row.late} | {row.oldest_seconds:.1f} | {row.bitstream_bytes / 1000:.0f} | {row.wire_bytes / 1000:.0f} | "
            f"{row.drained_seconds:.1f} | {shares} | {memory} |"
        )
    return "\n".join(lines)


def _say(what: str) -> None:
    print(f"   {time.strftime('%H:%M:%S')} {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
