"""The one policy of every channel that we open: retries that really happen, a server found again within seconds.

``open_channel`` and ``open_blocking_channel`` are the only places that make channels; what a call may cost and wait for
is decided by ``channel_options``.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
from collections.abc import Sequence

import grpc

from manypath_services.common.settings import MESSAGE_BYTES

ENCODER_SERVICE = "manypath_api.v1.EncoderService"
DECODER_SERVICE = "manypath_api.v1.DecoderService"
INFERENCE_SERVICE = "inference.GRPCInferenceService"

Options = Sequence[tuple[str, str | int]]

RECONNECT_MS = 4_000
"""Longest pause between two tries to reach a server, to which gRPC adds a fifth; its own default is two minutes."""
_CONNECT_MS = 5_000  # after which a try that nobody answers is given up; by default 20 s
_REASON_SECONDS = 0.25  # for a refused connection or an unknown name to tell its story

_PROXIES = ("grpc_proxy", "https_proxy", "http_proxy")  # in gRPC's order
_SPARED = ("no_grpc_proxy", "no_proxy")
_SCHEMES = ("dns:", "ipv4:", "ipv6:", "unix:", "unix-abstract:", "vsock:", "xds:")
_HOST_AND_PORT = re.compile(r"(?P<host>\[[0-9A-Fa-f:.%\w]+\]|[^\[\]:/\s]+):(?P<port>\d{1,5})")


class TargetError(ValueError):
    """A target is not an address that a channel can be opened to."""


def check_target(target: str) -> str:
    """Return ``target`` as gRPC wants it.

    Args:
        target: "host:port", "[IPv6 address]:port", or an address with one of gRPC's schemes ("dns:///host:port",
            "ipv4:1.2.3.4:port,5.6.7.8:port", "ipv6:[::1]:port", "unix:/path").

    Raises:
        TargetError: it is none of these.
    """
    text = target.strip()
    if text.startswith(_SCHEMES):
        return text
    if "://" in text:
        raise TargetError(f'a target is "host:port" without a scheme like http, got {target!r}')
    match = _HOST_AND_PORT.fullmatch(text)
    if match is None and text.count(":") > 1 and "[" not in text:
        raise TargetError(f'an IPv6 address stands in brackets, "[::1]:50051", got {target!r}')
    if match is None or not 0 < int(match["port"]) < 65536:
        raise TargetError(f'a target is "host:port" with a port of 1..65535, got {target!r}')
    if match["host"].startswith("["):
        try:
            ipaddress.IPv6Address(match["host"][1:-1])
        except ValueError as err:
            raise TargetError(f"{match['host']} is not an IPv6 address, in {target!r}") from err
    return text


def is_loopback(target: str) -> bool:
    """Return whether every address of ``target`` is this machine itself."""
    text = target.strip()
    if text.startswith(("unix:", "unix-abstract:")):
        return True
    for scheme in ("ipv4:", "ipv6:", "dns:"):
        text = text.removeprefix(scheme)
    hosts = [re.sub(r":\d+$", "", one).strip("[]") for one in text.lstrip("/").split(",")]
    return all(_is_loopback_host(host) for host in hosts)


def service_config(service: str, *, wait_for_ready: bool = True, watch_health: bool = True) -> str:
    """Return how calls to ``service`` behave, as gRPC's JSON.

    RESOURCE_EXHAUSTED is retried because a full queue sends it with the time after which to come again. The tokens
    that end retries are many: a server that answers spaces its callers out by pushback, one that is away uses up half
    of the tokens and is then asked once a call.

    Args:
        service: full name.
        wait_for_ready: calls wait for a connection until their deadline, 30 s unless they have one; without it they
            fail as soon as a server is known to be away.
        watch_health: servers that say they do not serve are left out. Each client then holds one stream to each server.
    """
    method: dict[str, object] = {
        "name": [{"service": service}],
        "retryPolicy": {
            "maxAttempts": 4,
            "initialBackoff": "0.1s",
            "maxBackoff": "2s",
            "backoffMultiplier": 2,
            "retryableStatusCodes": ["UNAVAILABLE", "RESOURCE_EXHAUSTED"],
        },
    }
    if wait_for_ready:
        method |= {"waitForReady": True, "timeout": "30s"}
    config: dict[str, object] = {
        "loadBalancingConfig": [{"round_robin": {}}],
        "methodConfig": [method],
        "retryThrottling": {"maxTokens": 100, "tokenRatio": 0.5},
    }
    if watch_health:
        config["healthCheckConfig"] = {"serviceName": service}
    return json.dumps(config)


def channel_options(
    service: str,
    *,
    max_message_bytes: int = MESSAGE_BYTES,
    wait_for_ready: bool = True,
    watch_health: bool = True,
) -> list[tuple[str, str | int]]:
    """Return the options of a channel to ``service``; see ``service_config``.

    gRPC retries in silence only what fits its buffer: 256 KiB unless raised, and a picture is larger.
    """
    return [
        ("grpc.service_config", service_config(service, wait_for_ready=wait_for_ready, watch_health=watch_health)),
        ("grpc.per_rpc_retry_buffer_size", max_message_bytes),
        ("grpc.max_send_message_length", max_message_bytes),
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", _CONNECT_MS),
        ("grpc.max_reconnect_backoff_ms", RECONNECT_MS),
    ]


def open_channel(target: str, options: Options, credentials: grpc.ChannelCredentials | None = None) -> grpc.aio.Channel:
    """Open a channel for an event loop.

    Args:
        target: see ``check_target``. This machine itself is never asked for through a proxy.
        options: from ``channel_options``.
        credentials: for TLS; without them the channel is plain.

    Raises:
        TargetError: ``target`` is no address.
    """
    address, options = _address(target, options)
    if credentials is None:
        return grpc.aio.insecure_channel(address, options=options)
    return grpc.aio.secure_channel(address, credentials, options=options)


def open_blocking_channel(
    target: str, options: Options, credentials: grpc.ChannelCredentials | None = None
) -> grpc.Channel:
    """Open a channel for threads; see ``open_channel``."""
    address, options = _address(target, options)
    if credentials is None:
        return grpc.insecure_channel(address, options=options)
    return grpc.secure_channel(address, credentials, options=options)


def connect(
    target: str,
    service: str,
    *,
    max_message_bytes: int = MESSAGE_BYTES,
    credentials: grpc.ChannelCredentials | None = None,
    extra_options: Options = (),
    stream: bool = False,
) -> grpc.aio.Channel:
    """Open a channel to one of our own services.

    Args:
        target: "host:port", or any address gRPC understands.
        service: full name, e.g. ``DECODER_SERVICE``.
        max_message_bytes: largest message either way.
        credentials: for TLS; without them the channel is plain.
        extra_options: channel arguments on top.
        stream: for one long stream, whose owner resumes it: no time limit, no retries by gRPC, and a connection of its
            own, so that no back-off of another channel delays it.
    """
    options = [
        *channel_options(service, max_message_bytes=max_message_bytes, wait_for_ready=not stream),
        *extra_options,
    ]
    if stream:
        options += [("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1)]
    return open_channel(target, options, credentials)


async def why_unreachable(channel: grpc.aio.Channel) -> str:
    """Return what is wrong with the connections of a channel that no call came through, or "" if nothing is known.

    A call that waits for a connection ends with its deadline and no other reason; one that does not wait names the
    refused connection, the unresolved name or the proxy.
    """
    call = channel.unary_unary("/manypath/WhyUnreachable", _as_it_is, _as_it_is)
    try:
        await call(b"", timeout=_REASON_SECONDS, wait_for_ready=False)
    except grpc.aio.AioRpcError as err:
        if err.code() is grpc.StatusCode.UNAVAILABLE:
            return err.details() or ""
    return ""


def through_proxy(target: str) -> str:
    """Return a clause for an error that says which proxy the environment puts before a target; "" if there is none.

    The address in gRPC's own words is then the proxy's, which nobody would look for.
    """
    if is_loopback(target):
        return ""
    for name in _PROXIES:
        address = os.environ.get(name)
        if address:
            host = re.sub(r":\d+$", "", target).strip("[]")
            spared = next((value for name in _SPARED if (value := os.environ.get(name))), "")
            if any(host.endswith(suffix.strip()) for suffix in spared.split(",") if suffix.strip()):
                return ""
            return f" (through the proxy {address.rpartition('@')[2]} of {name}; no_proxy spares a host)"
    return ""


def _as_it_is(message: bytes) -> bytes:
    return message


def _address(target: str, options: Options) -> tuple[str, Options]:
    address = check_target(target)
    if is_loopback(address):
        options = [*options, ("grpc.enable_http_proxy", 0)]
    return address, options


def _is_loopback_host(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
