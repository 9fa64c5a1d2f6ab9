"""Attacks by messages, connections and files that claim much."""

from __future__ import annotations

import asyncio
import socket
import time
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from benchmarks.fire import inputs, stalls
from benchmarks.fire.rows import Options, Row, attack
from benchmarks.fire.watch import cpu_seconds, health_of, memory_mb, metric, peak_memory, threads
from manypath_api.v1 import codec_pb2 as pb
from manypath_api.v1 import codec_pb2_grpc as pb_grpc
from manypath_cli.service_process import ServiceProcess
from manypath_services.common.client import DECODER_SERVICE, ENCODER_SERVICE, channel_options, open_channel

_MESSAGE = 2**24 - 1024


@attack(
    "messages", "16 MiB of empty sub-messages to Decode, Analyze and Process", "INVALID_ARGUMENT, health p99 < 50 ms"
)
def messages(options: Options) -> Row:
    """Send them for some seconds, and look at health meanwhile."""
    ended: Counter[str] = Counter()
    with (
        ServiceProcess("decoder", {"model": options.model}, module=stalls.MODULE) as decoder,
        ServiceProcess("encoder", {"model": options.model, "uplink": "127.0.0.1:9"}) as encoder,
    ):
        for process in (decoder, encoder):
            process.wait_ready()
        plan = [
            (decoder, DECODER_SERVICE, "Decode", 0x12),
            (decoder, DECODER_SERVICE, "Analyze", 0x12),
            (encoder, ENCODER_SERVICE, "Process", 0x1A),
        ]
        with health_of(decoder.target) as quiet:
            time.sleep(options.load_seconds / 2)
        with health_of(decoder.target) as health, peak_memory(decoder.pid) as peak:
            attacked = time.monotonic()
            until = attacked + options.load_seconds
            longest = 0.0
            while time.monotonic() < until:
                for process, service, method, tag in plan:
                    with inputs.channel_to(process.target, service) as channel:
                        call = inputs.raw_call(channel, service, method)
                        started = time.monotonic()
                        ended[inputs.ending(call, inputs.empty_parts(tag, _MESSAGE), timeout=60)[0]] += 1
                        longest = max(longest, time.monotonic() - started)
        stall_ms = 1000 * stalls.longest_stall(decoder.log, attacked)
    met = set(ended) == {"INVALID_ARGUMENT"} and health[0].p99_ms < 50
    told = f"{dict(ended)}, longest {longest:.2f} s, {health[0]} (without attack p99 {quiet[0].p99_ms:.0f} ms)"
    told += f", the loop's longest callback {stall_ms:.0f} ms of processor time"
    return Row(f"{told}, decoder at most {peak[0]:.0f} MiB", met)


@attack("malformed", "bytes that are no protobuf", "INVALID_ARGUMENT, counted, no traceback")
def malformed(options: Options) -> Row:
    """Send some, and look into metrics and log."""
    with ServiceProcess("encoder", {"model": options.model}) as encoder:
        encoder.wait_ready()
        with inputs.channel_to(encoder.target, ENCODER_SERVICE) as channel:
            call = inputs.raw_call(channel, ENCODER_SERVICE, "Encode")
            ended = Counter(inputs.ending(call, bytes([255, number] * 20), timeout=20)[0] for number in range(50))
        labels = {"grpc_method": "Encode", "grpc_code": "INVALID_ARGUMENT"}
        counted = metric(encoder.metrics_url, "grpc_server_handled_total", **labels)
        traces = sum("Traceback" in line for line in encoder.log)
    met = set(ended) == {"INVALID_ARGUMENT"} and counted == 50 and not traces
    return Row(f"{dict(ended)}, {counted:.0f} of 50 counted, {traces} tracebacks", met)


@attack("watchers", "1,000 connected cameras that watch health, 2,000 calls without a message", "all served")
def watchers(options: Options) -> Row:
    """Connect them all, then encode and ask for health by connections of their own."""

    async def never_sent() -> AsyncIterator[bytes]:
        await asyncio.Event().wait()
        yield b""

    async def besiege(target: str, metrics_url: str) -> tuple[Counter[str], float, float]:
        own = [("grpc.use_local_subchannel_pool", 1)]
        cameras = [open_channel(target, [*channel_options(ENCODER_SERVICE), *own]) for _ in range(1000)]
        loris = [open_channel(target, own) for _ in range(10)]
        watches = [health_pb2_grpc.HealthStub(camera).Watch(health_pb2.HealthCheckRequest()) for camera in cameras]
        await asyncio.gather(*(watch.read() for watch in watches))
        method = f"/{ENCODER_SERVICE}/Encode"
        half_open = [one.stream_unary(method, bytes, bytes)(never_sent()) for one in loris for _ in range(200)]
        await asyncio.sleep(3)  # they are there, and wait
        picture = pb.Picture(file=inputs.jpeg(96, 96))
        ended: Counter[str] = Counter()
        for camera in cameras[::20]:
            stub = pb_grpc.EncoderServiceStub(camera)  # type: ignore[no-untyped-call]
            try:
                await stub.Encode(pb.EncodeRequest(picture=picture), timeout=30)
                ended["OK"] += 1
            except grpc.aio.AioRpcError as err:
                ended[err.code().name] += 1
        watched = await asyncio.to_thread(metric, metrics_url, "manypath_health_watches")
        connected = await asyncio.to_thread(metric, metrics_url, "manypath_connections")
        for call in half_open:
            call.cancel()
        await asyncio.gather(*(channel.close(None) for channel in (*cameras, *loris)))
        return ended, watched, connected

    with ServiceProcess("encoder", {"model": options.model}) as encoder:
        encoder.wait_ready()
        with health_of(encoder.target) as health:
            ended, watched, connected = asyncio.run(besiege(encoder.target, encoder.metrics_url))
        memory = memory_mb(encoder.pid)
    met = set(ended) == {"OK"} and health[0].refused == 0 and watched >= 1000
    told = f"{watched:.0f} watches and {connected:.0f} connections shown; Encode {dict(ended)}"
    return Row(f"{told}; {health[0]}; {memory:.0f} MiB", met)


@attack("claims", "a WebP of 38 bytes and a stream that claim 67 Mpx, a JPEG of 16,000 scans", "refused at once")
def claims(options: Options) -> Row:
    """Send each once, and count processor time."""
    told = []
    met = True
    with (
        ServiceProcess("encoder", {"model": options.model}) as encoder,
        ServiceProcess("decoder", {"model": options.model}) as decoder,
    ):
        for process in (encoder, decoder):
            process.wait_ready()
        with inputs.channel_to(encoder.target, ENCODER_SERVICE) as channel:
            stub = pb_grpc.EncoderServiceStub(channel)  # type: ignore[no-untyped-call]
            digest = stub.GetCapabilities(pb.GetCapabilitiesRequest()).model_digest
            files = {"WebP": inputs.webp_of_38_bytes(), "JPEG": inputs.jpeg_of_scans(16_000)}
            for name, file in files.items():
                used, started = cpu_seconds(encoder.pid), time.monotonic()
                code, _ = inputs.ending(stub.Encode, pb.EncodeRequest(picture=pb.Picture(file=file)), timeout=300)
                used, seconds = cpu_seconds(encoder.pid) - used, time.monotonic() - started
                told.append(f"{name} of {len(file)} bytes: {code} after {seconds:.2f} s and {used:.2f} CPU s")
                met = met and code == "INVALID_ARGUMENT" and used < 1
        with inputs.channel_to(decoder.target, DECODER_SERVICE) as channel:
            decode = pb_grpc.DecoderServiceStub(channel).Decode  # type: ignore[no-untyped-call]
            stream = inputs.stream_that_claims(8192, 8192, digest)
            used = cpu_seconds(decoder.pid)
            code, _ = inputs.ending(decode, pb.DecodeRequest(bitstream=stream), timeout=300)
            used = cpu_seconds(decoder.pid) - used
            told.append(f"stream: {code} after {used:.2f} CPU s")
            met = met and code == "INVALID_ARGUMENT" and used < 1
    return Row("; ".join(told), met)


@attack("metrics port", "1,000 half requests at the metrics port", "bounded threads, a scrape gets through")
def metrics_port(options: Options) -> Row:
    """Open them, and scrape until it works."""
    with ServiceProcess("encoder", {"model": options.model}) as encoder:
        encoder.wait_ready()
        before = threads(encoder.pid)
        port = encoder.ports().metrics
        halves = []
        for _ in range(1000):
            half = socket.create_connection(("127.0.0.1", port), timeout=20)
            half.sendall(b"GET /metrics HTTP/1.1\r\nHost:")
            halves.append(half)
        most = threads(encoder.pid)
        started = time.monotonic()
        while time.monotonic() - started < 30:
            try:
                with urllib.request.urlopen(encoder.metrics_url, timeout=5) as answer:  # noqa: S310  (our own address)
                    answer.read()
                break
            except OSError:
                time.sleep(0.2)
        seconds = time.monotonic() - started
        for half in halves:
            half.close()
    met = most - before <= 40 and seconds < 10
    return Row(f"{most - before} more threads, a scrape after {seconds:.1f} s", met)
