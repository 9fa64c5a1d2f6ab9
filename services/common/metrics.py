"""Prometheus metrics, on an HTTP port of their own; names and units pass ``promtool check metrics``."""

from __future__ import annotations

import threading
from collections.abc import Mapping
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
_STAGE_SECONDS = (0.001, 0.0025, *_SECONDS)
_BYTES = tuple(1024 * 2**power for power in range(15))  # 1 KiB .. 16 MiB
_BPP = (0.03, 0.06, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 1.5, 2, 4)
_RATIOS = (0.5, 0.8, 0.9, 0.95, 0.97, 0.98, 0.99, 0.995, 1.0)

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
        self.inflight = Gauge("codec_inflight_requests", "Calls under way.", registry=registry)
        self.queue_depth = Gauge("codec_queue_depth", "Requests waiting for compute.", registry=registry)
        self.queue_wait = Histogram(
            "codec_queue_wait_seconds",
            "Seconds that requests waited for compute.",
            buckets=_STAGE_SECONDS,
            registry=registry,
        )
        self.shed = Counter(
            "codec_requests_shed_total",
            "Requests dropped before compute: queue_full, expired or cancelled.",
            ("reason",),
            registry=registry,
        )
        for reason in ("queue_full", "expired", "cancelled"):
            self.shed.labels(reason)
        self._build = Gauge(
            "codec_build_info",
            "1, labelled with what is running.",
            ("service", "version", "model", "model_digest", "device"),
            registry=registry,
        )
        self._version = version

    def describe(self, *, model: str, model_digest: str, device: str) -> None:
        """Say what is loaded."""
        self._build.labels(self.service, self._version, model, model_digest, device).set(1)


class CodecMetrics(ServiceMetrics):
    """What encoder and decoder count beside that."""

    def __init__(self, service: str, version: str) -> None:
        super().__init__(service, version)
        registry = self.registry
        self.stage = Histogram(
            "codec_stage_duration_seconds",
            "Seconds of one stage of one request.",
            ("service", "stage", "path", "device"),
            buckets=_STAGE_SECONDS,
            registry=registry,
        )
        self.bitstream_bytes = Histogram(
            "codec_bitstream_bytes",
            "Size of a bitstream, header included.",
            ("path",),
            buckets=_BYTES,
            registry=registry,
        )
        # promtool refuses "bits_per_pixel" in a name
        self.rate = Histogram(
            "codec_rate_bpp",
            "Bits of a bitstream over the pixels of its picture; quality is the nearest whole level.",
            ("path", "quality"),
            buckets=_BPP,
            registry=registry,
        )
        self.input_pixels = Counter("codec_input_pixels_total", "Pixels that came in.", registry=registry)
        self.input_bytes = Counter(
            "codec_input_bytes_total", "Bytes of pictures or bitstreams that came in.", registry=registry
        )
        self.output_bytes = Counter(
            "codec_output_bytes_total",
            "Bytes of bitstreams or pictures that went out.",
            ("path",),
            registry=registry,
        )
        self.budget_utilization = Histogram(
            "codec_budget_utilization_ratio",
            "Bytes used over bytes asked, where a budget was given.",
            buckets=_RATIOS,
            registry=registry,
        )
        self.rejected = Counter(
            "codec_bitstream_rejected_total",
            "Bitstreams refused, by error.",
            ("reason",),
            registry=registry,
        )
        self.selfcheck_mismatch = Gauge(
            "codec_selfcheck_mismatch",
            "1 if the self-check stream did not decode to its picture; the server then never becomes ready.",
            registry=registry,
        )
        self.downstream = Counter(
            "codec_downstream_calls_total",
            "Calls to a worker, or from the encoder to its decoder, by status.",
            ("worker", "code"),
            registry=registry,
        )
        self.model_load = Gauge("codec_model_load_seconds", "Seconds that loading and warming took.", registry=registry)

    def observe_stages(self, seconds: Mapping[str, float], *, path: str, device: str) -> None:
        """Record the seconds of each stage of one request."""
        for stage, spent in seconds.items():
            self.stage.labels(self.service, stage, path, device).observe(spent)

    def observe_rate(self, *, path: str, quality: float, size: int, bpp: float) -> None:
        """Record the size of one bitstream."""
        self.bitstream_bytes.labels(path).observe(size)
        self.rate.labels(path, str(round(quality))).observe(bpp)


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
