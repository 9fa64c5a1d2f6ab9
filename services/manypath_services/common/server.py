"""A gRPC server's life: port, health, reflection, readiness, and an end that loses no accepted request."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import Callable, Sequence
from enum import Enum, auto
from typing import Any

from grpc import StatusCode, aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from manypath_services.common import process
from manypath_services.common.address import with_port
from manypath_services.common.admission import Admission
from manypath_services.common.boundary import Boundary
from manypath_services.common.connections import open_connections
from manypath_services.common.errors import NotReadyError, ServiceError, StoppingError
from manypath_services.common.intake import Intake
from manypath_services.common.metrics import ServiceMetrics
from manypath_services.common.metrics_server import MetricsServer
from manypath_services.common.security import watch_certificates
from manypath_services.common.settings import ServiceSettings, is_loopback
from manypath_services.common.status import Codes
from manypath_services.common.tls import server_credentials
from manypath_services.common.tokens import TokenFile

_log = logging.getLogger(__name__)


LIVENESS = "liveness"
"""Health's name for "the event loop turns": SERVING from the start, also where the server is not ready."""


class _State(Enum):
    LOADING = auto()
    SERVING = auto()
    DRAINING = auto()
    STOPPING = auto()


# Seconds for which new calls are told that the server stops. gRPC cuts off calls that are on their way when a
# port closes: their callers would see CANCELLED, which nobody retries.
_FAREWELL_SECONDS = 0.1
_SILENT_SECONDS = 30.0  # of the event loop, after which the process counts as dead
_LEAVE_SECONDS = 1.5  # beyond the grace: farewell, the last lines of the log
_STREAMS = 256  # of one connection at once; its client waits with what is beyond


class Server:
    """One gRPC server and its port for those who watch.

    Register servicers on ``grpc``, then ``start``, then ``become_ready`` when the model is loaded: until then
    health says NOT_SERVING and calls are refused as unavailable.

    Args:
        settings: of the service.
        metrics: that the metrics port shows.
        services: full names, each with its health.
        codes: statuses of errors that are not ours, as the codec's.

    Raises:
        TlsError, TokenFileError: files that the settings name cannot be used.

    Attributes:
        grpc: where servicers are registered.
        port: of gRPC; known after ``start``.
        metrics_port: of HTTP; known after ``start``.
    """

    def __init__(
        self,
        settings: ServiceSettings,
        metrics: ServiceMetrics,
        services: Sequence[str],
        codes: Codes | None = None,
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._services = tuple(services)
        self._state = _State.LOADING
        self._metrics_server: MetricsServer | None = None
        self._certificates = watch_certificates(settings, metrics)
        tokens = None if settings.token_file is None else TokenFile(settings.token_file)
        admission = Admission(metrics, tokens=tokens, rate=settings.caller_rate)
        self._intake = Intake(metrics, held_bytes=settings.held_bytes, body_seconds=settings.body_seconds)
        self._boundary = Boundary(
            metrics, self._refusal, admission, self._intake, most_calls=settings.max_calls, codes=codes
        )
        # Not limited here: health, watches and reflection would count, and a refusal would have no reason and no trace.
        self.grpc = aio.server(
            interceptors=[self._boundary],
            options=_options(settings.max_message_bytes, settings.max_request_bytes or settings.max_message_bytes),
        )
        metrics.ready.set_function(self._ready)
        self._health = _Health(metrics)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self.grpc)
        if settings.reflection:
            reflection.enable_server_reflection((*services, health.SERVICE_NAME, reflection.SERVICE_NAME), self.grpc)
        self._beat = 0.0
        self._beating: asyncio.Task[None] | None = None
        self._held = False
        self.port = 0
        self.metrics_port = 0

    async def start(self) -> None:
        """Listen, NOT_SERVING.

        Raises:
            OSError: a port is taken.
        """
        settings = self._settings
        address = with_port(settings.host, settings.port)
        secure = self._certificates is not None and settings.tls_certificate is not None
        try:
            if secure and self._certificates is not None:
                credentials = server_credentials(self._certificates, require_client=settings.tls_require_client)
                self.port = self.grpc.add_secure_port(address, credentials)
            else:
                self.port = self.grpc.add_insecure_port(address)
        except RuntimeError as err:
            raise OSError(f"cannot listen on {address} (settings host and port): {err}") from err
        if not secure and not is_loopback(settings.host):
            _log.warning("calls travel in plain text, and whoever reaches this port may make them: insecure is set")
        await self._set_health(health_pb2.HealthCheckResponse.NOT_SERVING)
        await self._health.set(LIVENESS, health_pb2.HealthCheckResponse.SERVING)
        self._beating = asyncio.create_task(self._beat_on())
        if settings.metrics:
            self._metrics_server = self._watchers_server()
            self.metrics_port = self._metrics_server.port
        await self.grpc.start()
        self._metrics.observe_connections(lambda: open_connections(self.port))
        _log.info("listening", extra={"port": self.port, "metrics_port": self.metrics_port, "tls": secure})

    def _watchers_server(self) -> MetricsServer:
        host, port = self._settings.metrics_host, self._settings.metrics_port
        try:
            return MetricsServer(self._metrics, host, port, ready=self._ready, live=self._live)
        except OSError as err:
            address = with_port(host, port)
            raise OSError(f"cannot listen on {address} (settings metrics_host and metrics_port): {err}") from err

    async def become_ready(self) -> None:
        """Serve: everything is loaded, warmed and checked."""
        if self._state is _State.LOADING:
            self._state = _State.SERVING
            self._intake.measure()
            if not self._held:
                await self._set_health(health_pb2.HealthCheckResponse.SERVING)
            _log.info("serving")

    async def hold(self, reason: str) -> None:
        """Report that this server is not ready, for ``reason``; calls that come nevertheless are answered."""
        if self._state in {_State.LOADING, _State.SERVING} and not self._held:
            self._held = True
            await self._set_health(health_pb2.HealthCheckResponse.NOT_SERVING)
            _log.warning("not ready: %s", reason)

    async def release(self) -> None:
        """Report that this server is ready again."""
        if self._held:
            self._held = False
            if self._state is _State.SERVING:
                await self._set_health(health_pb2.HealthCheckResponse.SERVING)
                _log.info("ready again")

    async def stop(self, abandon: Callable[[], None] | None = None) -> None:
        """End: NOT_SERVING, wait for clients to move away, refuse new calls, finish the accepted ones.

        Args:
            abandon: ends what is still computed after the grace, so that its callers get an answer by name.
        """
        self._state = _State.DRAINING
        await self._health.enter_graceful_shutdown()
        _log.info("draining", extra={"drain_seconds": self._settings.drain_seconds})
        await asyncio.sleep(self._settings.drain_seconds)
        self._state = _State.STOPPING
        self._boundary.end_streams()
        try:
            await asyncio.wait_for(self._boundary.wait_idle(), self._settings.grace_seconds)
        except TimeoutError:
            _log.warning("calls are cut off after their grace")
            if abandon is not None:
                abandon()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._boundary.wait_idle(), _FAREWELL_SECONDS)
        await asyncio.sleep(_FAREWELL_SECONDS)  # who was just answered asks again, and is told as well
        stopped = asyncio.create_task(self.grpc.stop(_FAREWELL_SECONDS))
        await asyncio.sleep(0)  # no new call comes in from here on
        self._health.end_watches()
        await stopped
        if self._metrics_server is not None:
            await asyncio.to_thread(self._metrics_server.close)
        if self._beating is not None:
            self._beating.cancel()
        _log.info("stopped")

    def _ready(self) -> bool:
        return self._state is _State.SERVING and not self._held

    def _live(self) -> bool:
        return time.monotonic() - self._beat < _SILENT_SECONDS

    async def _beat_on(self) -> None:
        while True:
            self._beat = time.monotonic()
            await asyncio.sleep(1)

    def _refusal(self) -> ServiceError | None:
        if self._state is _State.LOADING:
            return NotReadyError("the model is still loading; come again")
        if self._state is _State.STOPPING:
            return StoppingError("the server is stopping; ask another one, or come again")
        return None

    async def _set_health(self, status: int) -> None:
        for name in ("", *self._services):
            await self._health.set(name, status)


class _Health(health.aio.HealthServicer):  # type: ignore[misc, name-defined]  # aio is bound at run time
    """Health whose watches end with the server; each would hold a stop until the end of its grace."""

    def __init__(self, metrics: ServiceMetrics) -> None:
        super().__init__()
        self._metrics = metrics
        self._ending = asyncio.Event()

    async def Watch(self, request: health_pb2.HealthCheckRequest, context: Any) -> None:  # noqa: N802
        """Tell each change of health, until the server stops."""
        watch = asyncio.ensure_future(super().Watch(request, context))
        ending = asyncio.ensure_future(self._ending.wait())
        self._metrics.watches.inc()
        try:
            await asyncio.wait((watch, ending), return_when=asyncio.FIRST_COMPLETED)
            if watch.done():
                await watch
        finally:
            self._metrics.watches.dec()
            watch.cancel()
            ending.cancel()
        await context.abort(StatusCode.UNAVAILABLE, "the server is stopping")

    def end_watches(self) -> None:
        """End those under way and refuse new ones."""
        self._ending.set()


async def until_signal(settings: ServiceSettings) -> None:
    """Return when the process is asked to end (SIGTERM or SIGINT); it then leaves in time, whatever it computes."""
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked.set)
    await asked.wait()
    process.leave_within(settings.drain_seconds + settings.grace_seconds + _LEAVE_SECONDS)


def _options(max_message_bytes: int, max_request_bytes: int) -> list[tuple[str, int]]:
    return [
        ("grpc.max_send_message_length", max_message_bytes),
        ("grpc.max_receive_message_length", max_request_bytes),
        ("grpc.max_concurrent_streams", _STREAMS),
        # clients come back through the balancer now and then, and find new servers
        ("grpc.max_connection_age_ms", 300_000),
        ("grpc.max_connection_age_grace_ms", 30_000),
        # Any number of pings: clients also send them to measure the connection, as often as they see fit while a large
        # answer that we wrote long ago crawls over a slow link; by default the third one ends the connection.
        ("grpc.http2.max_ping_strikes", 0),
        ("grpc.keepalive_permit_without_calls", 1),
        # two servers on one port would share calls in silence
        ("grpc.so_reuseport", 0),
    ]
