"""Channels to our own services: retries that really happen, balancing that follows health."""

from __future__ import annotations

import json
from collections.abc import Sequence

import grpc

from manypath_services.common.settings import MESSAGE_BYTES

ENCODER_SERVICE = "manypath_api.v1.EncoderService"
DECODER_SERVICE = "manypath_api.v1.DecoderService"


def service_config(service: str) -> str:
    """Return how calls to ``service`` behave, as gRPC's JSON.

    RESOURCE_EXHAUSTED is retried because a full queue sends it with the time after which to come again; calls
    wait for a connection until their deadline, 30 s unless they have one.
    """
    return json.dumps(
        {
            "loadBalancingConfig": [{"round_robin": {}}],
            "healthCheckConfig": {"serviceName": service},
            "methodConfig": [
                {
                    "name": [{"service": service}],
                    "waitForReady": True,
                    "timeout": "30s",
                    "retryPolicy": {
                        "maxAttempts": 4,
                        "initialBackoff": "0.1s",
                        "maxBackoff": "2s",
                        "backoffMultiplier": 2,
                        "retryableStatusCodes": ["UNAVAILABLE", "RESOURCE_EXHAUSTED"],
                    },
                }
            ],
            "retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1},
        }
    )


def channel_options(service: str, *, max_message_bytes: int = MESSAGE_BYTES) -> list[tuple[str, str | int]]:
    """Return the options of a channel to ``service``.

    gRPC retries in silence only what fits its buffer: 256 KiB unless raised, and a picture is larger.
    """
    return [
        ("grpc.service_config", service_config(service)),
        ("grpc.per_rpc_retry_buffer_size", max_message_bytes),
        ("grpc.max_send_message_length", max_message_bytes),
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 20_000),
    ]


def connect(
    target: str,
    service: str,
    *,
    max_message_bytes: int = MESSAGE_BYTES,
    credentials: grpc.ChannelCredentials | None = None,
    extra_options: Sequence[tuple[str, str | int]] = (),
) -> grpc.aio.Channel:
    """Open a channel.

    Args:
        target: "host:port", or any address gRPC understands.
        service: full name, e.g. ``DECODER_SERVICE``.
        max_message_bytes: largest message either way.
        credentials: for TLS; without them the channel is plain.
        extra_options: channel arguments on top.
    """
    options = [*channel_options(service, max_message_bytes=max_message_bytes), *extra_options]
    if credentials is None:
        return grpc.aio.insecure_channel(target, options=options)
    return grpc.aio.secure_channel(target, credentials, options=options)
