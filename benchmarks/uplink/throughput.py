"""Frames a second through one connection, stream against unary calls: ``python -m benchmarks.uplink.throughput``.

A decoder of its own process answers both: ``AnalyzeStream`` with frames that ask for nothing, ``Inspect`` with the same
bytes. Both read the header only, so what is measured is transport and bookkeeping.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time

import grpc
import numpy as np

from manypath.codec import Codec
from manypath_api.v1 import codec_pb2 as pb
from manypath_api.v1 import codec_pb2_grpc as pb_grpc
from manypath_cli.service_process import ServiceProcess

_SIZE = 20_000  # bytes of a frame
_ON_THEIR_WAY = 16


def main() -> int:
    """Print both figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=2000)
    parser.add_argument("--model", default="tiny-random")
    args = parser.parse_args()
    bitstream = _bitstream(args.model)
    with ServiceProcess("decoder", {"model": args.model}) as decoder:
        decoder.wait_ready()
        asyncio.run(_compare(decoder.target, bitstream, args.frames))
    return 0


async def _compare(target: str, bitstream: bytes, frames: int) -> None:
    async with grpc.aio.insecure_channel(target) as channel:
        stub = pb_grpc.DecoderServiceStub(channel)  # type: ignore[no-untyped-call]
        for name, measure in (("unary", _unary), ("stream", _stream)):
            await measure(stub, bitstream, 200)
            started = time.perf_counter()
            await measure(stub, bitstream, frames)
            rate = frames / (time.perf_counter() - started)
            print(f"{name}: {rate:.0f} frames a second of {len(bitstream)} bytes")


def _bitstream(model: str) -> bytes:
    """Return a bitstream of about 20 kB."""
    codec = Codec.load(model)
    noise = np.random.default_rng(1).integers(0, 256, (640, 640, 3)).astype(np.uint8)
    side = 640
    while len(stream := codec.encode(noise[:side, :side])) > _SIZE:
        side -= 16
    return stream


async def _unary(stub: pb_grpc.DecoderServiceStub, bitstream: bytes, frames: int) -> None:
    request = pb.InspectRequest(bitstream=bitstream)

    async def caller() -> None:
        for _ in range(frames // _ON_THEIR_WAY):
            await stub.Inspect(request)

    await asyncio.gather(*(caller() for _ in range(_ON_THEIR_WAY)))


async def _stream(stub: pb_grpc.DecoderServiceStub, bitstream: bytes, frames: int) -> None:
    call = stub.AnalyzeStream()
    await call.write(pb.AnalyzeStreamRequest(open=pb.StreamOpen(session=f"throughput-{time.time_ns()}")))
    room = asyncio.Semaphore(_ON_THEIR_WAY)

    async def write() -> None:
        for sequence in range(1, frames + 1):
            await room.acquire()
            frame = pb.BitstreamFrame(header=pb.FrameHeader(sequence=sequence, camera="c"), bitstream=bitstream)
            await call.write(pb.AnalyzeStreamRequest(frame=frame))

    writing = asyncio.create_task(write())
    acknowledged = 0
    while acknowledged < frames:
        response = await call.read()
        if response.HasField("acknowledgement"):
            for _ in range(response.acknowledgement.contiguous - acknowledged):
                room.release()
            acknowledged = response.acknowledgement.contiguous
    await writing
    call.cancel()


if __name__ == "__main__":
    sys.exit(main())
