"""The console's HTTP server: its port, and an end that leaves no reader of events waiting."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from manypath_services.common.address import with_port
from manypath_services.common.security import watch_certificates
from manypath_services.console.app import build
from manypath_services.console.metrics import ConsoleMetrics
from manypath_services.console.settings import ConsoleSettings

_log = logging.getLogger(__name__)
_LOOK_SECONDS = 5.0  # between two looks at the certificates
_BACKLOG = 256  # connections that wait to be taken


class PageServer:
    """Serves the pages.

    Args:
        settings: of the console.
        version: of this software.
        metrics: where answers are counted.

    Attributes:
        port: that it listens on; known after ``start``.

    Raises:
        TlsError, TokenFileError: certificates or tokens cannot be used.
    """

    def __init__(self, settings: ConsoleSettings, version: str, metrics: ConsoleMetrics) -> None:
        self._settings = settings
        self._closing = asyncio.Event()
        self._certificates = watch_certificates(settings, metrics)
        config = uvicorn.Config(
            build(settings, version, metrics, self._closing),
            log_config=None,  # ours is set already
            access_log=False,  # addresses hold the ids of pictures
            server_header=False,
            lifespan="on",
            timeout_graceful_shutdown=max(1, round(settings.grace_seconds)),
            ssl_certfile=settings.tls_certificate,
            ssl_keyfile=settings.tls_key,
            ssl_ca_certs=str(settings.tls_ca) if settings.tls_require_client else None,
            ssl_cert_reqs=ssl.CERT_REQUIRED if settings.tls_require_client else ssl.CERT_NONE,
        )
        self._server = _Server(config)
        self._serving: asyncio.Task[None] | None = None
        self._renewing: asyncio.Task[None] | None = None
        self.port = 0

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: the port is taken, or the address is not ours.
        """
        settings = self._settings
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(
                settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            listener = socket.socket(family, kind, protocol)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(_BACKLOG)
        except OSError as err:
            raise OSError(
                f"cannot listen on {with_port(settings.host, settings.port)} (settings host and port): {err}"
            ) from err
        self.port = int(listener.getsockname()[1])
        self._serving = asyncio.create_task(self._server.serve(sockets=[listener]))
        await self._server.until_started(self._serving)
        if self._server.config.ssl is not None:
            self._renewing = asyncio.create_task(self._renew(self._server.config.ssl))

    async def stop(self) -> None:
        """End: readers of events are let go, requests under way are answered."""
        self._closing.set()
        if self._renewing is not None:
            self._renewing.cancel()
        self._server.should_exit = True
        if self._serving is not None:
            await self._serving
            _log.info("stopped")

    async def _renew(self, context: ssl.SSLContext) -> None:
        """Let later handshakes use renewed certificates."""
        settings, certificates = self._settings, self._certificates
        if certificates is None or settings.tls_certificate is None:
            return
        used = certificates.current()[1]
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            newest = certificates.current()[1]
            if newest != used:
                used = newest
                context.load_cert_chain(settings.tls_certificate, settings.tls_key)


class _Server(uvicorn.Server):
    """Uvicorn without its own signal handlers; says when it has started."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then say so."""
        await super().startup(sockets)
        self._up.set()

    async def until_started(self, serving: asyncio.Task[None]) -> None:
        """Return when it has started.

        Raises:
            OSError: it ended instead; the log has the reason.
        """
        up = asyncio.create_task(self._up.wait())
        await asyncio.wait((up, serving), return_when=asyncio.FIRST_COMPLETED)
        up.cancel()
        if not self.started:
            raise OSError("the pages could not be started; the log has the reason")

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the process's own handler."""
        yield
