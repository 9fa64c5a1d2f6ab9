"""The HTTP port for those who watch: ``/metrics`` for Prometheus, ``/ready`` and ``/live`` for whoever starts services.

A kubelet or a container's health check has no certificate; here it needs none. The port is plain HTTP, tells nothing
of pictures or callers, and is bound to this machine unless told otherwise.
"""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Callable, Iterable
from typing import Any, Protocol
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app

_MOST_REQUESTS = 16  # at once; who comes later is hung up on, and comes again
_REQUEST_SECONDS = 5.0  # that a client may stay silent in the middle of a request


class Counted(Protocol):
    """Something with metrics of its own."""

    @property
    def registry(self) -> CollectorRegistry:
        """They are in here."""


class MetricsServer:
    """Listens, and answers in threads of its own.

    Args:
        metrics: of the service.
        host: address to listen on.
        port: 0 takes a free one.
        ready: whether calls are welcome.
        live: whether the process does something at all.

    Attributes:
        port: that it listens on.

    Raises:
        OSError: the port is taken.
    """

    def __init__(
        self, metrics: Counted, host: str, port: int, *, ready: Callable[[], bool], live: Callable[[], bool]
    ) -> None:
        pages = {"/ready": ready, "/live": live}
        show = make_wsgi_app(metrics.registry)

        def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
            page = pages.get(environ.get("PATH_INFO", ""))
            if page is None:
                shown: Iterable[bytes] = show(environ, start_response)
                return shown
            good = page()
            start_response("200 OK" if good else "503 Service Unavailable", [("Content-Type", "text/plain")])
            return [b"yes\n" if good else b"no\n"]

        address = host.strip("[]")
        server_class = _Server6 if ":" in address else _Server
        self._server = make_server(address, port, application, server_class=server_class, handler_class=_Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)
        self._thread.start()
        self.port = int(self._server.server_port)

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True
    block_on_close = False  # a client that dawdles does not hold up the end

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._places = threading.BoundedSemaphore(_MOST_REQUESTS)
        super().__init__(*arguments, **options)

    def server_bind(self) -> None:
        """Bind without the look-up of this machine's name that HTTPServer makes."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "manypath", self.server_address[1]
        self.setup_environ()

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that hang up are no news."""


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Handler(WSGIRequestHandler):
    timeout = _REQUEST_SECONDS

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002  (the base class names it so)
        """Say nothing: a scrape every few seconds is no news."""
