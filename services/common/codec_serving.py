"""The life that encoder and decoder share: listen, load, serve, stop. Not for the worker."""

from __future__ import annotations

import asyncio
from typing import Protocol

from manypath.codec import Codec
from manypath.errors import ManypathError
from services.common.codec_ready import Loading, SelfCheckError, load_codec
from services.common.entry import StartError
from services.common.metrics import CodecMetrics
from services.common.server import Server, until_signal


class CodecServicer(Protocol):
    """What a servicer offers to be brought to life.

    Attributes:
        codec: None until the model is loaded.
    """

    codec: Codec | None

    async def close(self) -> None:
        """Finish what was accepted; called after the server has stopped."""


async def serve_until_signal(server: Server, servicer: CodecServicer, loading: Loading, metrics: CodecMetrics) -> None:
    """Listen at once, become ready when the model is loaded and checked, and stop at a signal.

    Raises:
        StartError: the model cannot be loaded, or fails its self-check.
        OSError: a port is taken.
    """
    signalled = asyncio.create_task(until_signal())
    await server.start()
    try:
        await bring_up(server, servicer, loading, metrics)
        await signalled
    finally:
        signalled.cancel()
        await server.stop()
        await servicer.close()


async def bring_up(server: Server, servicer: CodecServicer, loading: Loading, metrics: CodecMetrics) -> None:
    """Load the model beside the event loop, which answers health checks meanwhile; then serve.

    Raises:
        StartError: the model cannot be loaded, or fails its self-check.
    """
    try:
        servicer.codec = await asyncio.to_thread(load_codec, loading, metrics)
    except (ManypathError, SelfCheckError) as err:
        raise StartError(str(err)) from err
    await server.become_ready()
