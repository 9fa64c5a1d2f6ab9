"""Prometheus metrics; names and units pass ``promtool check metrics``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import ClassVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from manypath_services.common import logs
from manypath_services.common.refusals import Refusals

disable_created_metrics()  # type: ignore[no-untyped-call]

# Seconds. As services around gRPC have them: from a cached answer to a 4K picture on one slow core.
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
STAGE_SECONDS = (0.001, 0.0025, *_SECONDS)
"""Buckets for what takes a part of a call."""

_BATCHES = (1, 2, 4, 8, 16, 32)
_CALL = ("grpc_service", "grpc_method", "grpc_type")


class ServiceMetrics:
    """What every server counts: calls, the queue before compute, and what it is made of.

    Attributes:
        registry: that the HTTP port serves; one per server, so that tests can have several.
    """

    ROOM: ClassVar[str] = "service"
    """Middle of the names of what a subclass counts."""

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
            "Requests that were not computed, by reason; common/refusals.py says what each means.",
            ("reason",),
            registry=registry,
        )
        self.refusals = Refusals(self.shed)
        self.queue_pixels = Gauge(
            "manypath_queue_pixels", "Pixels, or elements of tensors, that wait for compute.", registry=registry
        )
        self.batch_size = Histogram(
            f"manypath_{self.ROOM}_batch_size",
            "Requests that were computed together.",
            buckets=_BATCHES,
            registry=registry,
        )
        self.compute_pixels = Gauge(
            "manypath_compute_pixels", "Pixels, or elements of tensors, that are computed now.", registry=registry
        )
        self.compute_age = Gauge(
            "manypath_compute_age_seconds",
            "Seconds since the oldest work that is computed now began; 0 while there is none.",
            registry=registry,
        )
        self.held_bytes = Gauge(
            "manypath_held_bytes", "Bytes of messages whose calls are under way.", registry=registry
        )
        self.watches = Gauge("manypath_health_watches", "Clients that watch health.", registry=registry)
        self._observed = _Observed()
        registry.register(self._observed)
        self._build = Gauge(
            "manypath_build_info",
            "1, labelled with what is running.",
            ("service", "version", "model", "model_digest", "device"),
            registry=registry,
        )
        self.ready = Gauge(
            "manypath_ready", "1 where calls are welcome; 0 while loading, held back or ending.", registry=registry
        )
        self._expiry = Gauge(
            "manypath_tls_certificate_expiry_timestamp_seconds",
            "Unix time at which a certificate in use ends: the own one, and the first of the authorities trusted.",
            ("certificate",),
            registry=registry,
        )
        self.renewals = Counter(
            "manypath_tls_renewals_total",
            "Certificates read again after their files changed, by outcome: ok or failed.",
            ("outcome",),
            registry=registry,
        )
        self._version = version

    def observe_connections(self, count: Callable[[], int]) -> None:
        """Show how many connections there are; ``count`` is asked at each scrape."""
        self._observed.connections = count

    def describe(self, *, model: str, model_digest: str, device: str) -> None:
        """Say what is loaded."""
        self._build.labels(self.service, self._version, model, model_digest, device).set(1)

    def watch_expiry(self, certificate: str, expiry: Callable[[], float]) -> None:
        """Show when a certificate ends; ``expiry`` is asked at each scrape."""
        self._expiry.labels(certificate).set_function(expiry)


class _Observed(Collector):
    """What is known elsewhere and looked up at each scrape."""

    def __init__(self) -> None:
        self.connections: Callable[[], int] | None = None

    def collect(self) -> Iterator[Metric]:
        """Yield the families."""
        dropped = CounterMetricFamily("manypath_log_lines_dropped", "Lines of log that nobody took in time.")
        dropped.add_metric([], logs.dropped_lines())
        yield dropped
        if self.connections is not None:
            yield GaugeMetricFamily("manypath_connections", "Connections that are open.", self.connections())
