"""What a worker counts beside what every server does."""

from __future__ import annotations

from prometheus_client import Gauge, Histogram

from manypath_services.common.metrics import ServiceMetrics

# Seconds. From a small network on a small picture to a batch of large ones on one slow core.
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class WorkerMetrics(ServiceMetrics):
    """Time in the networks."""

    ROOM = "worker"

    def __init__(self, version: str) -> None:
        super().__init__("worker", version)
        self.inference = Histogram(
            "manypath_worker_inference_seconds",
            "Seconds of one request's network, reading and writing its tensors included.",
            ("model", "provider"),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.model_load = Gauge(
            "manypath_model_load_seconds", "Seconds that loading the models took.", registry=self.registry
        )
