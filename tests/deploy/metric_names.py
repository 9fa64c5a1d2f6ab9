"""Which metrics there are, read off the services' own registries, and which ones a PromQL expression names."""

from __future__ import annotations

import re
from functools import cache

from prometheus_client import CollectorRegistry

from manypath_services.codec.metrics import CodecMetrics
from manypath_services.worker.metrics import WorkerMetrics

_NAME = re.compile(r"\b(?:manypath|grpc_server|process|DCGM)_\w+")

# Of the camera client, which counts in another process.
_CAMERA = frozenset(
    {
        "manypath_camera_connected",
        "manypath_camera_frame_age_seconds",
        "manypath_camera_frames_total",
        "manypath_camera_reconnects_total",
        "manypath_camera_skipped_total",
        "manypath_spool_bytes",
        "manypath_spool_dropped_total",
        "manypath_spool_items",
        "manypath_spool_limit_bytes",
        "manypath_spool_oldest_age_seconds",
    }
)


def _series(registry: CollectorRegistry) -> set[str]:
    found = set()
    for family in registry.collect():
        suffixes = {"histogram": ("_bucket", "_sum", "_count"), "counter": ("_total",)}.get(family.type, ("",))
        found |= {family.name + suffix for suffix in suffixes}
    return found


@cache
def metric_names() -> frozenset[str]:
    """Names of the series that services of ours may have."""
    registries = [CodecMetrics("encoder", "test").registry, WorkerMetrics("test").registry]
    return _CAMERA.union(*map(_series, registries))


def names_in(expression: str) -> set[str]:
    return set(_NAME.findall(expression))
