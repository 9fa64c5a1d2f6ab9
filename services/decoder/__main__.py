"""Runs the decoder: ``python -m services.decoder``, told what to do by ``MANYPATH_DECODER_*``."""

from __future__ import annotations

import sys

from services.common import entry
from services.common.client import DECODER_SERVICE
from services.decoder.settings import DecoderSettings


async def serve(settings: DecoderSettings) -> None:
    """Serve until a signal, and end without losing a request.

    Raises:
        StartError: the model cannot be loaded.
        OSError: a port is taken.
    """
    # only here: torch reads the environment that entry.run prepares
    from manypath_api.v1 import codec_pb2_grpc as pb_grpc
    from services.common.codec_serving import serve_until_signal
    from services.common.metrics import CodecMetrics
    from services.common.server import Server
    from services.decoder.servicer import DecoderServicer

    metrics = CodecMetrics("decoder", entry.version())
    servicer = DecoderServicer(settings, metrics)
    server = Server(settings, metrics, [DECODER_SERVICE])
    pb_grpc.add_DecoderServiceServicer_to_server(servicer, server.grpc)  # type: ignore[no-untyped-call]
    await serve_until_signal(server, servicer)


def main() -> int:
    """Return the process's exit code."""
    return entry.run("decoder", DecoderSettings, serve)


if __name__ == "__main__":
    sys.exit(main())
