"""Ordinary clients in a process of their own: ``python -m benchmarks.fire.clients TARGET CLIENTS SIDE SECONDS``.

Each has a connection of its own by the project's policy, retries included, and asks again as soon as it is answered.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import time
from typing import NamedTuple

import grpc

from benchmarks.fire import inputs
from manypath_api.v1 import codec_pb2 as pb
from manypath_api.v1 import codec_pb2_grpc as pb_grpc
from manypath_services.common.client import ENCODER_SERVICE, connect


class Served(NamedTuple):
    """What clients got.

    Attributes:
        answered: requests.
        failed: requests, after their retries.
        seconds: that it took.
        p99_ms: of the answers.
    """

    answered: int
    failed: int
    seconds: float
    p99_ms: float

    @property
    def per_second(self) -> float:
        """Answers a second; what is answered last counts with the time that it took."""
        return self.answered / self.seconds


def closed_loop(target: str, *, clients: int, side: int, seconds: float) -> Served:
    """Run clients in a process of their own, and return what they got."""
    command = [sys.executable, "-m", "benchmarks.fire.clients", target, str(clients), str(side), str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return Served(*json.loads(done.stdout.splitlines()[-1]))


async def _ask(target: str, request: pb.EncodeRequest, until: float, took: list[float], failed: list[str]) -> None:
    own = [("grpc.use_local_subchannel_pool", 1)]
    async with connect(target, ENCODER_SERVICE, extra_options=own) as channel:
        stub = pb_grpc.EncoderServiceStub(channel)  # type: ignore[no-untyped-call]
        while time.monotonic() < until:
            started = time.perf_counter()
            try:
                await stub.Encode(request, timeout=60)
                took.append(1000 * (time.perf_counter() - started))
            except grpc.aio.AioRpcError as err:
                failed.append(err.code().name)


async def _run(target: str, clients: int, side: int, seconds: float) -> Served:
    picture = pb.Picture(file=inputs.jpeg(side, side))
    request = pb.EncodeRequest(picture=picture, rate=pb.Rate(quality=4.0))
    took: list[float] = []
    failed: list[str] = []
    started = time.monotonic()
    await asyncio.gather(*(_ask(target, request, started + seconds, took, failed) for _ in range(clients)))
    p99 = statistics.quantiles(took, n=100)[98] if len(took) > 1 else 0.0
    return Served(len(took), len(failed), time.monotonic() - started, p99)


if __name__ == "__main__":
    _target, _clients, _side, _seconds = sys.argv[1:]
    print(json.dumps(asyncio.run(_run(_target, int(_clients), int(_side), float(_seconds)))))
