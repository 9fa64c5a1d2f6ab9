"""Prometheus metrics, on an HTTP port of their own; names and units pass ``promtool check metrics``."""

from __future__ import annotations

import threading
from wsgiref.simple_server import WSGIServer

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    start_http_server,
)

disable_created_metrics()  # type: ignore[no-untyped-call]

# Seconds. As services around gRPC have them: from a cached answer to a 4K picture on one slow core.
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
STAGE_SECONDS = (0.001, 0.0025, *_SECONDS)
"""Buckets for what takes a part of a call."""

_CALL = ("grpc_service", "grpc_method", "grpc_type")


class ServiceMetrics:
    """What every server counts: calls, the queue before compute, and what it is made of.

    Attributes:
        registry: that the HTTP port serves; one per server, so that tests can have several.
    """

    def __init__(self, service: str, version: str) -> None:
        self.registry = registry = CollectorRegistry()
        self.service = service
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        self.started = Counter("grpc_server_started_total", "Calls that came in.", _CALL, registry=registry)
        self.handled = Counter(
            "grpc_server_handled_total",
            "Calls that ended, by status.",
            (*_CALL, "grpc_code"),
            registry=registry,
        )
        self.handling = Histogram(
            "grpc_server_handling_seconds",
            "Seconds from a call's arrival to its end.",
            _CALL,
            buckets=_SECONDS,
            registry=registry,
        )
        self.inflight = Gauge("manypath_inflight_requests", "Calls under way.", registry=registry)
        self.queue_depth = Gauge("manypath_queue_depth", "Requests waiting for compute.", registry=registry)
        self.queue_wait = Histogram(
            "manypath_queue_wait_seconds",
            "Seconds that requests waited for compute.",
            buckets=STAGE_SECONDS,
            registry=registry,
        )
        self.shed = Counter(
            "manypath_requests_shed_total",
            "Requests dropped before compute: queue_full, expired or cancelled.",
            ("reason",),
            registry=registry,
        )
        for reason in ("queue_full", "expired", "cancelled"):
            self.shed.labels(reason)
        self._build = Gauge(
            "manypath_build_info",
            "1, labelled with what is running.",
            ("service", "version", "model", "model_digest", "device"),
            registry=registry,
        )
        self._version = version

    def describe(self, *, model: str, model_digest: str, device: str) -> None:
        """Say what is loaded."""
        self._build.labels(self.service, self._version, model, model_digest, device).set(1)


class MetricsServer:
    """The HTTP port that Prometheus scrapes.

    Attributes:
        port: that it listens on.
    """

    def __init__(self, metrics: ServiceMetrics, host: str, port: int) -> None:
        server, thread = start_http_server(port, addr=host, registry=metrics.registry)
        self._server: WSGIServer = server
        self._thread: threading.Thread = thread
        self.port = int(server.server_port)

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
