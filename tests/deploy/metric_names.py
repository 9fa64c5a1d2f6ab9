"""Which metrics there are, read off the sources that make them, and which ones a PromQL expression names."""

from __future__ import annotations

import re
from functools import cache

from prometheus_client import CollectorRegistry, ProcessCollector

from tests.deploy.manifests import ROOT

_NAME = re.compile(r"\b(?:manypath|grpc_server|process|DCGM)_\w+")
_MADE = re.compile(r'(Counter|Gauge|Histogram)(?:MetricFamily)?\(\s*"((?:manypath|grpc_server)_\w+)"')
_ROOMS = ("codec", "worker")  # that give their name to metrics of the common room
_SUFFIXES = {"Histogram": ("_bucket", "_sum", "_count"), "Counter": ("_total",), "Gauge": ("",)}


@cache
def metric_names() -> frozenset[str]:
    """Names of the series that processes of ours may have."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    names = {sample.name for family in registry.collect() for sample in family.samples}
    for folder in ("services/manypath_services", "src/manypath_camera"):
        for file in (ROOT / folder).rglob("*.py"):
            text = file.read_text()
            text += "".join(text.replace('f"manypath_{self.ROOM}', f'"manypath_{room}') for room in _ROOMS)
            for kind, name in _MADE.findall(text):
                names |= {name.removesuffix("_total") + suffix for suffix in _SUFFIXES[kind]}
    return frozenset(names)


def names_in(expression: str) -> set[str]:
    return set(_NAME.findall(expression))
