"""Runs the encoder: ``python -m manypath_services.encoder``, told what to do by ``MANYPATH_ENCODER_*``."""

from __future__ import annotations

import asyncio
import sys

from manypath_services.common import entry
from manypath_services.common.client import ENCODER_SERVICE
from manypath_services.encoder.settings import EncoderSettings


async def serve(settings: EncoderSettings) -> None:
    """Serve until a signal, and end without losing a request.

    Raises:
        StartError: the model cannot be loaded.
        OSError: a port is taken.
    """
    # only here: torch reads the environment that entry.run prepares
    from manypath_api.v1 import codec_pb2_grpc as pb_grpc
    from manypath_services.codec.metrics import CodecMetrics
    from manypath_services.codec.serving import serve_until_signal
    from manypath_services.codec.statuses import CODEC_CODES
    from manypath_services.common.server import Server
    from manypath_services.encoder.servicer import EncoderServicer

    metrics = CodecMetrics("encoder", entry.version())
    servicer = EncoderServicer(settings, metrics)
    server = Server(settings, metrics, [ENCODER_SERVICE], CODEC_CODES)
    pb_grpc.add_EncoderServiceServicer_to_server(servicer, server.grpc)  # type: ignore[no-untyped-call]
    following = asyncio.create_task(servicer.uplink.follow(server)) if settings.ready_with_uplink else None
    try:
        await serve_until_signal(server, servicer)
    finally:
        if following is not None:
            following.cancel()


def main() -> int:
    """Return the process's exit code."""
    return entry.run("encoder", EncoderSettings, serve)


if __name__ == "__main__":
    sys.exit(main())
