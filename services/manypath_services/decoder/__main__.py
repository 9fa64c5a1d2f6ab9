"""Runs the decoder: ``python -m manypath_services.decoder``, told what to do by ``MANYPATH_DECODER_*``."""

from __future__ import annotations

import sys

from manypath_services.common import entry
from manypath_services.common.client import DECODER_SERVICE
from manypath_services.decoder.settings import DecoderSettings


async def serve(settings: DecoderSettings) -> None:
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
    from manypath_services.decoder.servicer import DecoderServicer

    metrics = CodecMetrics("decoder", entry.version())
    servicer = DecoderServicer(settings, metrics)
    server = Server(settings, metrics, [DECODER_SERVICE], CODEC_CODES)
    pb_grpc.add_DecoderServiceServicer_to_server(servicer, server.grpc)  # type: ignore[no-untyped-call]
    await serve_until_signal(server, servicer)


def main() -> int:
    """Return the process's exit code."""
    return entry.run("decoder", DecoderSettings, serve)


if __name__ == "__main__":
    sys.exit(main())
