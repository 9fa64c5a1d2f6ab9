"""Attacks and load by work: deadlines, stops, memory, fairness, throughput."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc

from benchmarks.fire import inputs
from benchmarks.fire.clients import Served, closed_loop
from benchmarks.fire.rows import Options, Row, attack
from benchmarks.fire.watch import cpu_seconds, memory_mb, metric, peak_memory, wait_for
from manypath_api.v1 import codec_pb2 as pb
from manypath_api.v1 import codec_pb2_grpc as pb_grpc
from manypath_cli.service_process import ServiceProcess
from manypath_services.common.client import DECODER_SERVICE, ENCODER_SERVICE

_LARGE = (4096, 4096)  # the default's limit


@attack("deadlines", "16 Mpx whose callers' deadline passes, or who leave", "stops within 1 s")
def deadlines(options: Options) -> Row:
    """Measure from the deadline to the moment at which nothing is computed any more."""
    told: list[str] = []
    worst = 0.0
    with (
        ServiceProcess("encoder", {"model": options.model}) as encoder,
        ServiceProcess("decoder", {"model": options.model}) as decoder,
    ):
        for process in (encoder, decoder):
            process.wait_ready()
        with inputs.channel_to(encoder.target, ENCODER_SERVICE) as channel:
            encode = pb_grpc.EncoderServiceStub(channel).Encode  # type: ignore[no-untyped-call]
            request = pb.EncodeRequest(picture=inputs.raw(*_LARGE))
            started = time.monotonic()
            stream = encode(request, timeout=600).bitstream
            whole = time.monotonic() - started
            worst = max(worst, _stopped(encoder, encode, request, "encode", told))
        with inputs.channel_to(decoder.target, DECODER_SERVICE) as channel:
            decode = pb_grpc.DecoderServiceStub(channel).Decode  # type: ignore[no-untyped-call]
            worst = max(worst, _stopped(decoder, decode, pb.DecodeRequest(bitstream=stream), "decode", told))
    return Row(f"whole encoding {whole:.1f} s; {'; '.join(told)}", worst <= 1.0)


def _stopped(process: ServiceProcess, call: Any, request: Any, name: str, told: list[str]) -> float:
    """Return the longest time that work went on for nobody."""
    worst = 0.0
    for seconds in (0.7, 1.5, 2.5):
        pending = call.future(request, timeout=60)
        wait_for(process.metrics_url, "manypath_compute_pixels", 0, above=True)
        time.sleep(seconds)
        pending.cancel()
        worst = max(worst, wait_for(process.metrics_url, "manypath_compute_pixels", 0))
    code, _ = inputs.ending(call, request, timeout=1.2)
    late = wait_for(process.metrics_url, "manypath_compute_pixels", 0)
    told.append(f"{name}: {worst:.2f} s after it was left, {late:.2f} s after {code}")
    return max(worst, late)


@attack("stop", "SIGTERM during a picture of 16 Mpx, grace 2 s", "gone within 4 s, callers told by name")
def stop(options: Options) -> Row:
    """Send the signal while one is computed and another waits."""
    with ServiceProcess("encoder", {"model": options.model, "grace_seconds": 2}) as encoder:
        encoder.wait_ready()
        with inputs.channel_to(encoder.target, ENCODER_SERVICE) as channel:
            encode = pb_grpc.EncoderServiceStub(channel).Encode  # type: ignore[no-untyped-call]
            request = pb.EncodeRequest(picture=inputs.raw(*_LARGE))
            pending = [encode.future(request, timeout=60) for _ in range(2)]
            wait_for(encoder.metrics_url, "manypath_compute_pixels", 0, above=True)
            started = time.monotonic()
            code = encoder.stop(timeout_seconds=60)
            seconds = time.monotonic() - started
            ended = Counter(_code(one) for one in pending)
    met = seconds <= 4 and code == 0 and set(ended) <= {"OK", "UNAVAILABLE"}
    return Row(f"gone after {seconds:.1f} s with exit code {code}; callers {dict(ended)}", met)


def _code(pending: Any) -> str:
    try:
        pending.result(60)
    except grpc.RpcError as err:
        return str(err.code().name)
    return "OK"


@attack("bodies", "40 files of 60 MiB at once", "encoder under 1.5 GiB, and back afterwards")
def bodies(options: Options) -> Row:
    """Send them by connections of their own."""
    junk = pb.EncodeRequest(picture=pb.Picture(file=b"\xff\xd8\xff" + bytes(60 * 2**20)))
    with ServiceProcess("encoder", {"model": options.model}) as encoder:
        encoder.wait_ready()
        before = memory_mb(encoder.pid)

        def send(_: int) -> str:
            with inputs.channel_to(encoder.target, ENCODER_SERVICE) as channel:
                stub = pb_grpc.EncoderServiceStub(channel)  # type: ignore[no-untyped-call]
                return inputs.ending(stub.Encode, junk, timeout=120)[0]

        with peak_memory(encoder.pid) as peak, ThreadPoolExecutor(40) as senders:
            ended = Counter(senders.map(send, range(40)))
        with inputs.channel_to(encoder.target, ENCODER_SERVICE) as channel:
            stub = pb_grpc.EncoderServiceStub(channel)  # type: ignore[no-untyped-call]
            small, _ = inputs.ending(stub.Encode, pb.EncodeRequest(picture=inputs.raw(96, 96)), timeout=30)
        time.sleep(5)
        after = memory_mb(encoder.pid)
    met = peak[0] < 1536 and after < before + 256 and small == "OK"
    return Row(f"{before:.0f} MiB, at most {peak[0]:.0f}, then {after:.0f}; {dict(ended)}", met)


@attack("fairness", "a 96x96 client beside four that send 12 Mpx, on one core", "at least 5 a second")
def fairness(options: Options) -> Row:
    """Count what the small client gets."""
    with ServiceProcess("encoder", {"model": options.model}) as encoder:
        encoder.wait_ready()
        os.sched_setaffinity(encoder.pid, {0})
        for thread in Path(f"/proc/{encoder.pid}/task").iterdir():
            os.sched_setaffinity(int(thread.name), {0})
        over = threading.Event()
        large: list[str] = []
        request = pb.EncodeRequest(picture=pb.Picture(file=inputs.jpeg(3000, 4000)))

        def greedy() -> None:
            with inputs.channel_to(encoder.target, ENCODER_SERVICE) as channel:
                stub = pb_grpc.EncoderServiceStub(channel)  # type: ignore[no-untyped-call]
                while not over.is_set():
                    large.append(inputs.ending(stub.Encode, request, timeout=60)[0])

        clients = [threading.Thread(target=greedy, daemon=True) for _ in range(4)]
        for client in clients:
            client.start()
        wait_for(encoder.metrics_url, "manypath_compute_pixels", 2**20, above=True)
        served = closed_loop(encoder.target, clients=1, side=96, seconds=2 * options.load_seconds)
        over.set()
        for client in clients:
            client.join(120)
    rate = served.per_second
    return Row(f"{rate:.1f} a second, p99 {served.p99_ms:.0f} ms; large ones {dict(Counter(large))}", rate >= 5)


@attack("overload", "1, 16, 64 and 128 clients of 256x256 with the project's own retries", "at least 80 % of the peak")
def overload(options: Options) -> Row:
    """Measure each in turn."""
    with ServiceProcess("encoder", {"model": options.model}) as encoder:
        encoder.wait_ready()
        used: dict[int, float] = {}
        rates = _rates(encoder, (1, 16, 64, 128), 256, options.load_seconds, used)
        shed = metric(encoder.metrics_url, "manypath_requests_shed_total", reason="queue_full")
    peak = max(served.per_second for served in rates.values())
    met = all(rates[clients].per_second >= 0.8 * peak for clients in (64, 128))
    shown = ", ".join(
        f"{clients}: {served.per_second:.1f}/s ({served.failed} errors, "
        f"{1000 * used[clients] / max(served.answered, 1):.1f} ms of processor an answer)"
        for clients, served in rates.items()
    )
    return Row(f"{shown}; {shed:.0f} refused with a pushback", met)


@attack("batching", "96x96 at 16 clients, each alone and together", "at least 1.4 times the throughput together")
def batching(options: Options) -> Row:
    """Measure with batches of one and of up to sixteen."""
    found = []
    sizes = 0.0
    for limit in (1, 16):
        settings = {"model": options.model, "batch_limit": limit}
        with ServiceProcess("encoder", settings) as encoder:
            encoder.wait_ready()
            served = _rates(encoder, (16,), 96, options.load_seconds)[16]
            found.append(served.per_second)
            batches = metric(encoder.metrics_url, "manypath_codec_batch_size_count")
            sizes = metric(encoder.metrics_url, "manypath_codec_batch_size_sum") / batches
    alone, together = found
    told = f"{alone:.1f}/s alone, {together:.1f}/s together, {sizes:.1f} in a batch: {together / alone:.2f} times"
    return Row(told, together >= 1.4 * alone)


def _rates(
    encoder: ServiceProcess, clients: Sequence[int], side: int, seconds: float, used: dict[int, float] | None = None
) -> dict[int, Served]:
    """Return what so many clients got; ``used`` then has the encoder's processor seconds, whatever else ran here."""
    closed_loop(encoder.target, clients=1, side=side, seconds=1)  # the first ones are slow
    found = {}
    for number in clients:
        before = cpu_seconds(encoder.pid)
        found[number] = closed_loop(encoder.target, clients=number, side=side, seconds=seconds)
        if used is not None:
            used[number] = cpu_seconds(encoder.pid) - before
    return found
