"""What encoder and decoder share: a codec, threads to run it in, and their life. Not for the worker."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Generic, TypeVar

from manypath import Codec, ManypathError
from manypath_services.codec.abandonment import check_between_modules
from manypath_services.codec.metrics import CodecMetrics
from manypath_services.codec.ready import SelfCheckError, load_another, load_codec
from manypath_services.codec.settings import CodecSettings
from manypath_services.common import process
from manypath_services.common.compute import EXPRESS, Compute, current_lane
from manypath_services.common.entry import StartError
from manypath_services.common.errors import NotReadyError
from manypath_services.common.server import Server, until_signal

_log = logging.getLogger(__name__)
Settings = TypeVar("Settings", bound=CodecSettings)


class SelfCheckStartError(StartError):
    """This machine does not decode what it must."""


class CodecServicer(Generic[Settings]):
    """A servicer that runs a codec, one request at a time, outside the event loop.

    Args:
        settings: of the service.
        metrics: where pictures, bytes and seconds are counted.

    Attributes:
        settings: as given.
        metrics: as given.
        codec: None until the model is loaded.
        express_codec: another one for the thread that small pictures have, where they have one.
        compute: the threads that codecs run in.
    """

    def __init__(self, settings: Settings, metrics: CodecMetrics) -> None:
        self.settings = settings
        self.metrics = metrics
        self.codec: Codec | None = None
        self.express_codec: Codec | None = None
        self.compute = Compute.of(settings, metrics, express_pixels=settings.express_pixels)

    def loaded(self) -> Codec:
        """Return the codec.

        Raises:
            NotReadyError: it is still loading.
        """
        if self.codec is None:
            raise NotReadyError("the model is still loading; come again")
        return self.codec

    async def begin(self) -> None:
        """Do what needs the loaded codec and no caller; called before the server says that it serves."""

    def of_this_thread(self) -> Codec:
        """Return the codec that the compute thread which calls this may use.

        Raises:
            NotReadyError: it is still loading.
        """
        return self.express_codec if current_lane() == EXPRESS and self.express_codec else self.loaded()

    async def close(self) -> None:
        """Finish what was accepted; call it after the server has stopped."""
        await asyncio.to_thread(self.compute.close)


async def serve_until_signal(server: Server, servicer: CodecServicer[Settings]) -> None:
    """Listen at once, become ready when the model is loaded and checked, and stop at a signal.

    Raises:
        StartError: the model cannot be loaded, or fails its self-check.
        OSError: a port is taken.
    """
    signalled = asyncio.create_task(until_signal(servicer.settings))
    await server.start()
    try:
        try:
            await bring_up(server, servicer, process.settle)
        except SelfCheckStartError as err:
            linger = servicer.settings.selfcheck_linger_seconds
            _log.error("never ready, and gone in %.0f s: %s", linger, err)
            await asyncio.wait({signalled}, timeout=linger)
            raise
        await signalled
    finally:
        signalled.cancel()
        await server.stop(servicer.compute.abandon)
        await servicer.close()


async def bring_up(
    server: Server, servicer: CodecServicer[Settings], settle: Callable[[], None] = lambda: None
) -> None:
    """Load the model beside the event loop, which answers health checks meanwhile; then serve.

    Args:
        server: that serves it.
        servicer: whose model it is.
        settle: called when everything is loaded.

    Raises:
        StartError: the model cannot be loaded, or fails its self-check.
    """
    try:
        codec = await asyncio.to_thread(load_codec, servicer.settings, servicer.metrics)
        if servicer.compute.lanes > 1:
            servicer.express_codec = await asyncio.to_thread(load_another, servicer.settings)
        check_between_modules()
        servicer.codec = codec
    except SelfCheckError as err:
        raise SelfCheckStartError(str(err)) from err
    except ManypathError as err:
        raise StartError(str(err)) from err
    await servicer.begin()
    settle()
    await server.become_ready()
