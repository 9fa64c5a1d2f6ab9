"""What the console counts, for Prometheus."""

from __future__ import annotations

from prometheus_client import Gauge, Histogram

from manypath_services.common.metrics import STAGE_SECONDS, ServiceMetrics


class ConsoleMetrics(ServiceMetrics):
    """What the console counts beside what every service does."""

    def __init__(self, version: str) -> None:
        super().__init__("console", version)
        self.answers = Histogram(
            "manypath_console_answer_seconds",
            "Seconds from a browser's request to the first byte of its answer.",
            ("page", "status"),
            buckets=STAGE_SECONDS,
            registry=self.registry,
        )
        self.kept_bytes = Gauge(
            "manypath_console_kept_bytes", "Memory of pictures that are kept.", registry=self.registry
        )
