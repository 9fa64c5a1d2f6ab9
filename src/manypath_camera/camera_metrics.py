"""The camera client as Prometheus sees it. The camera's name is a label here, where a file bounds it; nowhere else."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from manypath_api.v1 import codec_pb2 as pb
from manypath_camera.budget import TokenBucket
from manypath_camera.camera import Camera, Taken
from manypath_camera.sender import Sender
from manypath_camera.spool import Spool
from manypath_camera.spool_metrics import SpoolCollector
from manypath_camera.supervisor import CameraState

disable_created_metrics()  # type: ignore[no-untyped-call]

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3600)
_BPP = (0.03, 0.06, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 1.5, 2, 4)


class CameraMetrics:
    """Counts what became of frames; its registry shows cameras, spool and uplink as well once ``watch`` was called.

    Attributes:
        registry: for a HTTP port.
    """

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        self._frame_age = Histogram(
            "manypath_camera_encoded_age_seconds",
            "Seconds from a frame's capture until it was encoded and safe at the edge.",
            ("camera",),
            buckets=_SECONDS,
            registry=registry,
        )
        self._bpp = Histogram(
            "manypath_camera_bpp",
            "Bits of a frame's bitstream over its pixels.",
            ("camera",),
            buckets=_BPP,
            registry=registry,
        )
        self._original = Counter(
            "manypath_camera_original_bytes_total",
            "Bytes of encoded frames as they came: of the file, or of the samples.",
            ("camera",),
            registry=registry,
        )
        self._encoded = Counter(
            "manypath_camera_encoded_bytes_total", "Bytes of their bitstreams.", ("camera",), registry=registry
        )

    def watch(self, spool: Spool, sender: Sender, cameras: Callable[[], Mapping[str, Camera]]) -> None:
        """Show a client's spool, uplink and cameras."""
        self.registry.register(SpoolCollector(spool, sender))
        self.registry.register(CamerasCollector(cameras))

    def encoded(self, answer: pb.FrameAnswer, taken: Taken | None) -> None:
        """Count an encoded frame."""
        facts = answer.encoded.facts
        self._bpp.labels(answer.camera).observe(facts.bpp)
        self._encoded.labels(answer.camera).inc(facts.bytes)
        if taken is not None:
            self._original.labels(answer.camera).inc(taken.original_bytes)
            self._frame_age.labels(answer.camera).observe(time.monotonic() - taken.captured)


class CamerasCollector(Collector):
    """``manypath_camera_*`` from counts in memory, read when they are scraped.

    Args:
        cameras: returns those that run now.
    """

    def __init__(self, cameras: Callable[[], Mapping[str, Camera]]) -> None:
        self._cameras = cameras

    def collect(self) -> Iterator[Metric]:
        """Yield every metric as it is now."""
        name = ["camera"]
        state = GaugeMetricFamily("manypath_camera_state", "1 for where the camera stands.", labels=["camera", "state"])
        age = GaugeMetricFamily("manypath_camera_last_frame_age_seconds", "Since its newest frame came.", labels=name)
        arrived = CounterMetricFamily("manypath_camera_frames_arrived", "Frames that the source gave.", labels=name)
        skipped = CounterMetricFamily(
            "manypath_camera_frames_skipped", "Frames that a newer one replaced before one was due.", labels=name
        )
        due = CounterMetricFamily(
            "manypath_camera_frames_due", "Frames that were due, by what became of them.", labels=["camera", "outcome"]
        )
        reconnects = CounterMetricFamily("manypath_camera_reconnects", "Attempts after the first.", labels=name)
        left = GaugeMetricFamily("manypath_camera_budget_left_bytes", "Bytes that may be spent now.", labels=name)
        rate = GaugeMetricFamily("manypath_camera_budget_bytes_per_second", "Bytes that may be spent.", labels=name)
        now = time.monotonic()
        for camera in list(self._cameras().values()):
            for each in CameraState:
                state.add_metric([camera.name, each.value], camera.supervisor.state is each)
            if camera.slot.last_at is not None:
                age.add_metric([camera.name], now - camera.slot.last_at)
            arrived.add_metric([camera.name], camera.slot.arrived)
            skipped.add_metric([camera.name], camera.slot.skipped)
            for outcome, count in camera.outcomes.items():
                due.add_metric([camera.name, outcome.value], count)
            reconnects.add_metric([camera.name], camera.supervisor.reconnects)
            if camera.budget.left is not None:
                left.add_metric([camera.name], camera.budget.left)
            if isinstance(camera.budget, TokenBucket):
                rate.add_metric([camera.name], camera.budget.per_second)
        yield from (state, age, arrived, skipped, due, reconnects, left, rate)
