"""The one policy of our channels: which targets are addresses, no proxy to oneself, found again soon."""

from __future__ import annotations

import asyncio
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from manypath_services.common.client import (
    DECODER_SERVICE,
    ENCODER_SERVICE,
    RECONNECT_MS,
    TargetError,
    channel_options,
    check_target,
    is_loopback,
    open_blocking_channel,
    open_channel,
    through_proxy,
    why_unreachable,
)
from tests.services.serving import SECONDS

ADDRESSES = [
    "localhost:50051",
    "camera-7.site.example:50051",
    "10.1.2.3:50051",
    "[::1]:50051",
    "[fe80::1%eth0]:50051",
    "ipv6:[::1]:50051",
    "ipv4:10.0.0.1:50051,10.0.0.2:50051",
    "dns:///decoder:50052",
    "unix:/run/manypath.sock",
]


@pytest.mark.parametrize("target", ADDRESSES)
def test_every_spelling_of_an_address_is_taken(target):
    assert check_target(target) == target


@pytest.mark.parametrize(
    ("target", "cure"),
    [
        ("::1:50051", "brackets"),
        ("http://localhost:50051", "without a scheme"),
        ("localhost", "host:port"),
        ("localhost:0", "1..65535"),
        ("localhost:65536", "1..65535"),
        ("[::zz]:1", "not an IPv6 address"),
        ("[1:2]:1", "not an IPv6 address"),
        ("", "host:port"),
    ],
)
def test_what_is_no_address_says_how_one_looks(target, cure):
    with pytest.raises(TargetError, match=cure):
        check_target(target)


@pytest.mark.parametrize(
    ("target", "own"),
    [
        ("localhost:1", True),
        ("127.0.0.9:1", True),
        ("[::1]:1", True),
        ("ipv6:[::1]:1", True),
        ("dns:///localhost:1", True),
        ("unix:/run/a", True),
        ("ipv4:127.0.0.1:1,127.0.0.1:2", True),
        ("ipv4:127.0.0.1:1,10.0.0.1:2", False),
        ("decoder:1", False),
        ("10.0.0.1:1", False),
    ],
)
def test_this_machine_is_recognised(target, own):
    assert is_loopback(target) is own


def test_this_machine_is_never_asked_through_a_proxy(encoder, monkeypatch):
    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nobody is there
    for name in ("no_proxy", "no_grpc_proxy"):
        monkeypatch.delenv(name, raising=False)
    with open_blocking_channel(encoder.target, channel_options(ENCODER_SERVICE)) as channel:
        answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=SECONDS)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_a_server_on_ipv6_is_reached(start):
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            pytest.skip("no IPv6 loopback here")
    running = start("encoder", host="::1")
    with open_blocking_channel(f"[::1]:{running.server.port}", ()) as channel:
        answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=SECONDS)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_reasons_are_told_where_nobody_answers():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        target = f"127.0.0.1:{taken.getsockname()[1]}"

        async def ask(address: str) -> str:
            async with open_channel(address, channel_options(DECODER_SERVICE)) as channel:
                return await why_unreachable(channel)

        assert "refused" in asyncio.run(ask(target)).lower()
    assert "nobody.invalid" in asyncio.run(ask("nobody.invalid:1"))


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("192.0.2.1:50052", " (through the proxy proxy.invalid:3128 of https_proxy; no_proxy spares a host)"),
        ("camera.example:50052", ""),
        ("localhost:50052", ""),
        ("[::1]:50052", ""),
    ],
)
def test_a_proxy_before_a_target_is_named_without_its_password(monkeypatch, target, says):
    monkeypatch.delenv("grpc_proxy", raising=False)
    monkeypatch.setenv("https_proxy", "http://me:secret@proxy.invalid:3128")
    monkeypatch.setenv("no_proxy", "other.invalid, .example")
    assert through_proxy(target) == says


def test_a_server_that_was_away_for_long_is_found_again_within_the_longest_pause():
    """A channel that has failed many times tries again soon: only the pause counts, so it is made to grow first."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
    options = channel_options(ENCODER_SERVICE, watch_health=False)
    shorter = [(name, 400 if "max_reconnect" in name else value) for name, value in options]
    with open_blocking_channel(f"127.0.0.1:{port}", shorter) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        with pytest.raises(grpc.RpcError):
            stub.Check(health_pb2.HealthCheckRequest(), timeout=3, wait_for_ready=True)
        server = grpc.server(ThreadPoolExecutor(1))
        server.add_insecure_port(f"127.0.0.1:{port}")
        server.start()
        begun = time.monotonic()
        with pytest.raises(grpc.RpcError) as unimplemented:
            stub.Check(health_pb2.HealthCheckRequest(), timeout=SECONDS, wait_for_ready=True)
        assert unimplemented.value.code() is grpc.StatusCode.UNIMPLEMENTED  # it was asked
        assert time.monotonic() - begun < 10  # by gRPC's own pauses it may be minutes
        server.stop(None).wait()


def test_every_channel_has_the_bounded_pause():
    for options in (channel_options(ENCODER_SERVICE), channel_options(DECODER_SERVICE, watch_health=False)):
        assert dict(options)["grpc.max_reconnect_backoff_ms"] == RECONNECT_MS <= 4_000
