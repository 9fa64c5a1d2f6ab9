"""Scale-out: throughput, latency and errors with several decoders behind client-side balancing, while they come and go.

    python -m benchmarks.scale                          one table, in three minutes on two free cores
    python -m benchmarks.scale --replicas 1 2 4 8 --seconds 60 --output scale.json

Decoders are processes of this machine on loopback, one thread each; callers balance among all addresses and follow the
health of each, as in a cluster. The last row ends a replica and begins another, again and again, under the same load.
Then one replica decodes pictures of growing size, and a line through the times says what a picture and a pixel cost; by
that line the last rows say what so many cores would do, which nobody has run.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import socket
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

import grpc
import numpy as np
import numpy.typing as npt

from manypath.codec import Codec
from manypath_api.v1 import codec_pb2 as pb
from manypath_api.v1 import codec_pb2_grpc as pb_grpc
from manypath_cli.service_process import ServiceProcess
from manypath_lab.machine import this_machine
from manypath_services.common.client import DECODER_SERVICE, channel_options, open_blocking_channel

_DRAIN_SECONDS = 1.0
_TIMEOUT_SECONDS = 120.0
_CORES = (8, 64)  # that the calculation is for


class Row(NamedTuple):
    """One measurement.

    Attributes:
        what: was measured.
        replicas: that served.
        per_second: answers a second.
        p50: seconds of a call.
        p99: likewise.
        errors: calls that failed, after the client's own retries.
        changes: replicas that ended or began meanwhile.
    """

    what: str
    replicas: int
    per_second: float
    p50: float
    p99: float
    errors: int
    changes: int = 0


class Cost(NamedTuple):
    """What decoding costs.

    Attributes:
        start: seconds of a picture, whatever its size.
        megapixel: seconds of a million pixels.
    """

    start: float
    megapixel: float

    def of(self, pixels: int) -> float:
        """Return the seconds of a picture."""
        return self.start + self.megapixel * pixels / 1e6


def picture(side: int) -> npt.NDArray[np.uint8]:
    """Return uint8 [side, side, 3]: waves and noise."""
    rows, columns = np.mgrid[0:side, 0:side]
    waves = 127 + 60 * np.sin(rows / 9) + 60 * np.cos(columns / 13)
    noise = np.random.default_rng(7).normal(0, 6, (side, side, 3))
    return np.asarray(np.clip(waves[..., None] * (1.0, 0.8, 0.6) + noise, 0, 255), dtype=np.uint8)


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on."""
    with ExitStack() as ends:
        sockets = [ends.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def replica(model: str, port: int) -> ServiceProcess:
    """Return a decoder that begins on a port."""
    return ServiceProcess(
        "decoder", {"model": model, "port": port, "drain_seconds": _DRAIN_SECONDS, "queue_limit": 256}
    )


class Load:
    """Callers that ask without pause."""

    def __init__(self, ports: Sequence[int], request: pb.DecodeRequest, callers: int) -> None:
        target = "ipv4:" + ",".join(f"127.0.0.1:{port}" for port in ports)
        self._channel = open_blocking_channel(target, channel_options(DECODER_SERVICE))
        self._stub = pb_grpc.DecoderServiceStub(self._channel)  # type: ignore[no-untyped-call]
        self._request = request
        self._end = threading.Event()
        self._lock = threading.Lock()
        self._seconds: list[float] = []
        self._errors: list[str] = []
        self._pool = ThreadPoolExecutor(callers)
        self._stub.Decode(request, timeout=_TIMEOUT_SECONDS)
        self._started = time.perf_counter()
        self._callers = [self._pool.submit(self._ask) for _ in range(callers)]

    def _ask(self) -> None:
        while not self._end.is_set():
            started = time.perf_counter()
            error = ""
            try:
                self._stub.Decode(self._request, timeout=_TIMEOUT_SECONDS)
            except grpc.RpcError as err:
                error = f"{err.code().name}: {err.details()}"
            with self._lock:
                if error:
                    self._errors.append(error)
                else:
                    self._seconds.append(time.perf_counter() - started)

    def result(self, what: str, replicas: int, changes: int = 0) -> Row:
        """End it, and return what was measured."""
        spent = time.perf_counter() - self._started
        self._end.set()
        for caller in self._callers:
            caller.result()
        self._pool.shutdown()
        self._channel.close()
        for error in sorted(set(self._errors)):
            print(f"  error: {error}", file=sys.stderr)
        p50, p99 = np.quantile(self._seconds, [0.5, 0.99]) if self._seconds else (np.nan, np.nan)
        return Row(what, replicas, len(self._seconds) / spent, float(p50), float(p99), len(self._errors), changes)


@contextmanager
def replicas(model: str, ports: Sequence[int]) -> Iterator[list[ServiceProcess]]:
    """Have decoders on these ports, ready."""
    with ExitStack() as ends:
        running = [ends.enter_context(replica(model, port)) for port in ports]
        for one in running:
            one.wait_ready()
        yield running


def come_and_go(args: argparse.Namespace, request: pb.DecodeRequest) -> Row:
    """Measure while one of two replicas ends and another begins, in turns."""
    ports = free_ports(3)  # two serve, one is on its way
    with replicas(args.model, ports[:2]) as running, ExitStack() as ends:
        load = Load(ports, request, args.callers)
        changes, until = 0, time.perf_counter() + 2 * args.seconds
        idle = ports[2]
        while time.perf_counter() < until:
            fresh = ends.enter_context(replica(args.model, idle))
            fresh.wait_ready()
            leaving = running.pop(0)
            idle = leaving.ports().grpc
            leaving.stop()
            running.append(fresh)
            changes += 2
        return load.result("replicas come and go", 2, changes)


def sizes(args: argparse.Namespace, codec: Codec) -> list[tuple[int, float]]:
    """Measure seconds of compute a picture at growing sides, one caller, one replica: median of the stages' sum."""
    found = []
    with (
        replicas(args.model, free_ports(1)) as (only,),
        open_blocking_channel(only.target, channel_options(DECODER_SERVICE)) as channel,
    ):
        stub = pb_grpc.DecoderServiceStub(channel)  # type: ignore[no-untyped-call]
        for side in args.sides:
            request = pb.DecodeRequest(bitstream=codec.encode(picture(side)), picture_format=pb.PICTURE_FORMAT_RAW)
            spent = []
            for _ in range(args.repeat):
                timings = stub.Decode(request, timeout=_TIMEOUT_SECONDS).timings
                spent.append(sum(timing.seconds for timing in timings if timing.stage != "queue"))
            found.append((side * side, float(np.median(spent))))
    return found


def cost(measured: Sequence[tuple[int, float]]) -> Cost:
    """Return the line through seconds of compute by pixels."""
    pixels, seconds = (np.array(values) for values in zip(*measured, strict=True))
    slope, start = np.polyfit(pixels, seconds, 1)
    return Cost(max(0.0, float(start)), 1e6 * float(slope))


def table(args: argparse.Namespace, rows: Sequence[Row], measured: Sequence[tuple[int, float]]) -> str:
    """Return Markdown."""
    line = cost(measured)
    lines = [
        f"{args.callers} callers, {args.side}x{args.side} pixels",
        "",
        "| what | answers a second | p50 | p99 | errors | replicas that ended or began |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.what}, {row.replicas} replica{'s' * (row.replicas > 1)} | {row.per_second:.2f} | {row.p50:.3f} s "
        f"| {row.p99:.3f} s | {row.errors} | {row.changes} |"
        for row in rows
    ]
    lines += [
        f"| one replica, one caller, {pixels:,} pixels | {1 / seconds:.2f} | {seconds:.3f} s of compute | | | |"
        for pixels, seconds in measured
    ]
    lines += [
        f"| by calculation: {cores} cores, a replica each, 1920x1080 | {cores / line.of(1920 * 1080):.1f} | | | | |"
        for cores in _CORES
    ]
    lines += ["", f"a picture costs {line.start:.3f} s and {line.megapixel:.3f} s a megapixel of one core"]
    return "\n".join(lines)


def main() -> int:
    """Return the process's exit code: 1 if a call failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default="edge")
    parser.add_argument("--replicas", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--callers", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=15.0, help="of each measurement (default: 15)")
    parser.add_argument("--side", type=int, default=256, help="of the picture, in pixels")
    parser.add_argument("--sides", type=int, nargs="+", default=[128, 256, 512, 1024])
    parser.add_argument("--repeat", type=int, default=5, help="pictures of each size")
    parser.add_argument("--output", type=pathlib.Path, help="file for the figures, as JSON")
    args = parser.parse_args()
    print(this_machine().describe())  # now: its load is not yet ours
    codec = Codec.load(args.model)
    request = pb.DecodeRequest(bitstream=codec.encode(picture(args.side)), picture_format=pb.PICTURE_FORMAT_RAW)
    rows = []
    for count in args.replicas:
        ports = free_ports(count)
        with replicas(args.model, ports):
            load = Load(ports, request, args.callers)
            time.sleep(args.seconds)
            rows.append(load.result("steady", count))
    rows.append(come_and_go(args, request))
    measured = sizes(args, codec)
    print(table(args, rows, measured))
    if args.output:
        content = {
            "rows": [row._asdict() for row in rows],
            "seconds_by_pixels": measured,
            "cost": cost(measured)._asdict(),
        }
        args.output.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return 1 if any(row.errors for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
