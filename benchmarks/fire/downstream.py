"""Faults of the next server: away, hanging, lying; and a log that nobody reads."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from benchmarks.fire import inputs
from benchmarks.fire.rows import Options, Row, attack
from benchmarks.fire.watch import health_of, metric
from manypath_api.v1 import codec_pb2 as pb
from manypath_api.v1 import codec_pb2_grpc as pb_grpc
from manypath_cli.service_process import ServiceProcess
from manypath_services.common.client import ENCODER_SERVICE


def _process_request() -> pb.ProcessRequest:
    wanted = [pb.PathRequest(path=pb.PATH_PERCEPTUAL)]
    return pb.ProcessRequest(picture=pb.Picture(file=inputs.jpeg(96, 96)), pictures=wanted)


@attack("reconnect", "the decoder is away for long", "found again within 5 s, and no failure counted as OK")
def reconnect(options: Options) -> Row:
    """Kill it, ask meanwhile, start it again on its port."""
    request = _process_request()
    decoder = ServiceProcess("decoder", {"model": options.model})
    try:
        decoder.wait_ready()
        port = decoder.ports().grpc
        with ServiceProcess("encoder", {"model": options.model, "uplink": decoder.target}) as encoder:
            encoder.wait_ready()
            with inputs.channel_to(encoder.target, ENCODER_SERVICE) as channel:
                process = pb_grpc.EncoderServiceStub(channel).Process  # type: ignore[no-untyped-call]
                ended = Counter([inputs.ending(process, request, timeout=30)[0]])
                os.kill(decoder.pid, signal.SIGKILL)
                decoder.stop()
                until = time.monotonic() + options.outage_seconds
                failed: Counter[str] = Counter()
                details = ""
                while time.monotonic() < until:
                    code, details = inputs.ending(process, request, timeout=5)
                    failed[code] += 1
                    time.sleep(0.2)
                decoder = ServiceProcess("decoder", {"model": options.model, "port": port})
                decoder.wait_ready()
                started = time.monotonic()
                while (
                    code := inputs.ending(process, request, timeout=5)[0]
                ) != "OK" and time.monotonic() - started < 60:
                    time.sleep(0.05)
                seconds = time.monotonic() - started
                ended[code] += 1
            counted = metric(encoder.metrics_url, "manypath_downstream_calls_total", code="OK")
    finally:
        decoder.stop()
    met = seconds <= 5 and counted == ended["OK"] and "OK" not in failed
    told = f"found again {seconds:.1f} s after it was ready; meanwhile {dict(failed)}, {details[:120]!r}"
    return Row(f"{told}; {counted:.0f} counted as OK of {ended['OK']}", met)


@attack("hang", "the decoder hangs (SIGSTOP), 400 clients of Process", "encoder's health and pure Encode untouched")
def hang(options: Options) -> Row:
    """Stop it, let the clients come, and encode beside them."""
    request = _process_request()
    picture = pb.EncodeRequest(picture=pb.Picture(file=inputs.jpeg(96, 96)))
    with (
        ServiceProcess("decoder", {"model": options.model}) as decoder,
        ServiceProcess("encoder", {"model": options.model, "uplink": decoder.target}) as encoder,
    ):
        for process in (decoder, encoder):
            process.wait_ready()
        os.kill(decoder.pid, signal.SIGSTOP)
        try:
            over = threading.Event()
            ended: Counter[str] = Counter()

            def client(_: int) -> None:
                with inputs.channel_to(encoder.target, ENCODER_SERVICE) as channel:
                    ask = pb_grpc.EncoderServiceStub(channel).Process  # type: ignore[no-untyped-call]
                    while not over.is_set():
                        ended[inputs.ending(ask, request, timeout=30)[0]] += 1
                        over.wait(0.5)

            with ThreadPoolExecutor(400) as clients:
                for number in range(400):
                    clients.submit(client, number)
                time.sleep(2)
                encoded: Counter[str] = Counter()
                with health_of(encoder.target) as health, inputs.channel_to(encoder.target, ENCODER_SERVICE) as channel:
                    encode = pb_grpc.EncoderServiceStub(channel).Encode  # type: ignore[no-untyped-call]
                    until = time.monotonic() + 2 * options.load_seconds
                    while time.monotonic() < until:
                        encoded[inputs.ending(encode, picture, timeout=10)[0]] += 1
                over.set()
        finally:
            os.kill(decoder.pid, signal.SIGCONT)
    met = health[0].refused == 0 and set(encoded) == {"OK"}
    return Row(f"{health[0]}; Encode {dict(encoded)}; Process {dict(ended)}", met)


@attack("log", "standard error is a pipe that nobody reads", "served on; SIGTERM works")
def log(options: Options) -> Row:
    """Start an encoder with such a pipe, call it a thousand times, end it."""
    reading, writing = os.pipe()
    settings = {"MODEL": options.model, "PORT": "50971", "METRICS_PORT": "50972", "DRAIN_SECONDS": "0"}
    environment = os.environ | {f"MANYPATH_ENCODER_{name}": value for name, value in settings.items()}
    command = [sys.executable, "-m", "manypath_services.encoder"]
    with subprocess.Popen(command, env=environment, stderr=writing, stdin=subprocess.DEVNULL) as encoder:
        os.close(writing)
        try:
            target, metrics_url = "127.0.0.1:50971", "http://127.0.0.1:50972/metrics"
            with inputs.channel_to(target, ENCODER_SERVICE) as channel:
                stub = pb_grpc.EncoderServiceStub(channel)  # type: ignore[no-untyped-call]
                inputs.ending(stub.GetCapabilities, pb.GetCapabilitiesRequest(), timeout=60)
                ended = Counter(
                    inputs.ending(stub.GetCapabilities, pb.GetCapabilitiesRequest(), timeout=5)[0]
                    for _ in range(15_000)
                )
            dropped = metric(metrics_url, "manypath_log_lines_dropped_total")
            encoder.terminate()
            started = time.monotonic()
            with contextlib.suppress(subprocess.TimeoutExpired):
                encoder.wait(60)
            seconds = time.monotonic() - started
        finally:
            encoder.kill()
            os.close(reading)
    met = set(ended) == {"OK"} and dropped > 0 and seconds < 10
    return Row(f"{dict(ended)}; {dropped:.0f} lines dropped; ended after {seconds:.1f} s", met)
