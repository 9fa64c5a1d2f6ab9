"""What those who start and watch services are told, by HTTP and by health's own protocol."""

from __future__ import annotations

import asyncio
import socket
import urllib.error
import urllib.request

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from manypath_services.codec import ready, serving
from manypath_services.codec.metrics import CodecMetrics
from manypath_services.common import metrics_server
from manypath_services.common.client import DECODER_SERVICE
from manypath_services.common.server import LIVENESS, Server
from manypath_services.decoder.servicer import DecoderServicer
from manypath_services.decoder.settings import DecoderSettings
from manypath_services.encoder import uplink
from tests.services.serving import MODEL, SECONDS

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


def page(running, path: str) -> int:
    url = running.metrics_url.replace("/metrics", path)
    try:
        with urllib.request.urlopen(url, timeout=SECONDS) as response:  # noqa: S310  (our own http)
            return response.status
    except urllib.error.HTTPError as err:
        return err.code


def health(running, service: str = "") -> int:
    with grpc.insecure_channel(running.target) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        return stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=SECONDS).status


def test_a_server_lives_before_it_is_ready_and_both_protocols_say_so(start):
    running = start("encoder", ready=False)
    assert (page(running, "/live"), page(running, "/ready")) == (200, 503)
    assert (health(running, LIVENESS), health(running)) == (SERVING, NOT_SERVING)
    assert running.value("manypath_ready") == 0
    running.become_ready()
    assert (page(running, "/live"), page(running, "/ready")) == (200, 200)
    assert running.value("manypath_ready") == 1
    assert health(running) == SERVING


def test_a_server_whose_event_loop_stands_still_is_not_live(start):
    running = start("encoder", ready=False)
    running.server._beat -= 60
    running.server._beating.cancel()
    assert page(running, "/live") == 503


def test_the_port_for_those_who_watch_can_be_left_out(start):
    running = start("encoder", ready=False, metrics=False)
    assert running.server.metrics_port == 0


def test_reflection_can_be_left_out(start):
    running = start("encoder", ready=False, reflection=False)
    with grpc.insecure_channel(running.target) as channel:
        ask = channel.stream_stream("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")
        with pytest.raises(grpc.RpcError) as refused:
            next(ask(iter([b""]), timeout=SECONDS))
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_clients_that_say_nothing_do_not_keep_a_scrape_waiting_for_ever(start, monkeypatch):
    monkeypatch.setattr(metrics_server._Handler, "timeout", 0.2)
    running = start("encoder", ready=False)
    address = ("127.0.0.1", running.server.metrics_port)
    silent = [socket.create_connection(address, timeout=SECONDS) for _ in range(40)]
    try:
        for one in silent:
            assert one.recv(1) == b""  # hung up on: at once, or after its time
        assert page(running, "/metrics") == 200
    finally:
        for one in silent:
            one.close()


def wait_for(running, status: int) -> None:
    """Return when the server's health is that."""
    with grpc.insecure_channel(running.target) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), timeout=SECONDS)
        assert any(answer.status == status for answer in watch)
        watch.cancel()


def test_readiness_follows_the_uplink_where_it_is_told_to(start, monkeypatch):
    monkeypatch.setattr(uplink, "_LOOK_SECONDS", 0.05)
    decoder = start("decoder", ready=False)
    encoder = start("encoder", uplink=decoder.target)
    following = encoder.loop.start(encoder.servicer.uplink.follow(encoder.server))
    try:
        wait_for(encoder, NOT_SERVING)
        assert (page(encoder, "/ready"), page(encoder, "/live")) == (503, 200)
        assert health(encoder, LIVENESS) == SERVING
        decoder.become_ready()
        wait_for(encoder, SERVING)
        assert page(encoder, "/ready") == 200
    finally:
        following.cancel()


def test_a_failed_self_check_can_be_scraped_before_the_process_goes(monkeypatch):
    def broken(codec: object) -> bool:
        raise ready.SelfCheckError(f"one bit is another in {codec}")

    monkeypatch.setattr(ready, "self_check", broken)
    settings = DecoderSettings.load(port=0, metrics_port=0, model=MODEL, drain_seconds=0, selfcheck_linger_seconds=30)
    metrics = CodecMetrics("decoder", "test")

    async def life() -> None:
        server = Server(settings, metrics, [DECODER_SERVICE])
        serves = asyncio.create_task(serving.serve_until_signal(server, DecoderServicer(settings, metrics)))
        while "mismatch 1.0" not in await asyncio.to_thread(scrape, server):
            assert not serves.done()
        assert not serves.done()
        serves.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serves

    asyncio.run(asyncio.wait_for(life(), SECONDS))


def scrape(server: Server) -> str:
    if not server.metrics_port:
        return ""
    with urllib.request.urlopen(f"http://127.0.0.1:{server.metrics_port}/metrics", timeout=SECONDS) as page:
        return page.read().decode()
