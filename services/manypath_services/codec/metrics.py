"""What encoder and decoder count beside what every server does: stages, bits, rejected bitstreams."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import Counter, Gauge, Histogram

from manypath_services.common import tracing
from manypath_services.common.metrics import STAGE_SECONDS, ServiceMetrics

_BYTES = tuple(1024 * 2**power for power in range(15))  # 1 KiB .. 16 MiB
_BPP = (0.03, 0.06, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 1.5, 2, 4)
_RATIOS = (0.5, 0.8, 0.9, 0.95, 0.97, 0.98, 0.99, 0.995, 1.0)


_CALLS = ("uplink", "worker")  # to other servers, each with a span of its own


class CodecMetrics(ServiceMetrics):
    """What encoder and decoder count beside that."""

    ROOM = "codec"

    def __init__(self, service: str, version: str) -> None:
        super().__init__(service, version)
        registry = self.registry
        self.stage = Histogram(
            "manypath_codec_stage_duration_seconds",
            "Seconds of one stage of one request.",
            ("service", "stage", "path", "device"),
            buckets=STAGE_SECONDS,
            registry=registry,
        )
        self.bitstream_bytes = Histogram(
            "manypath_codec_bitstream_bytes",
            "Size of a bitstream, header included.",
            ("path",),
            buckets=_BYTES,
            registry=registry,
        )
        # promtool refuses "bits_per_pixel" in a name
        self.rate = Histogram(
            "manypath_codec_rate_bpp",
            "Bits of a bitstream over the pixels of its picture; quality is the nearest whole level.",
            ("path", "quality"),
            buckets=_BPP,
            registry=registry,
        )
        self.input_pixels = Counter("manypath_codec_input_pixels_total", "Pixels that came in.", registry=registry)
        self.input_bytes = Counter(
            "manypath_codec_input_bytes_total", "Bytes of pictures or bitstreams that came in.", registry=registry
        )
        self.output_bytes = Counter(
            "manypath_codec_output_bytes_total",
            "Bytes of bitstreams or pictures that went out.",
            ("path",),
            registry=registry,
        )
        self.budget_utilization = Histogram(
            "manypath_codec_budget_utilization_ratio",
            "Bytes used over bytes asked, where a budget was given.",
            buckets=_RATIOS,
            registry=registry,
        )
        self.rejected = Counter(
            "manypath_codec_bitstream_rejected_total",
            "Bitstreams refused, by error.",
            ("reason",),
            registry=registry,
        )
        self.selfcheck_mismatch = Gauge(
            "manypath_codec_selfcheck_mismatch",
            "1 if the self-check stream did not decode to its picture; the server then never becomes ready.",
            registry=registry,
        )
        self.downstream = Counter(
            "manypath_downstream_calls_total",
            "Calls to a worker, or from the encoder to its decoder, by status.",
            ("worker", "code"),
            registry=registry,
        )
        self.downstream_under_way = Gauge(
            "manypath_downstream_inflight_calls", "Calls to the next server under way.", ("worker",), registry=registry
        )
        self.model_load = Gauge(
            "manypath_model_load_seconds", "Seconds that loading and warming took.", registry=registry
        )

    def observe_stages(self, seconds: Mapping[str, float], *, path: str, device: str) -> None:
        """Record the seconds of each stage of one request, which ran one after the other and end now."""
        tracing.record_stages({stage: spent for stage, spent in seconds.items() if stage not in _CALLS})
        for stage, spent in seconds.items():
            self.stage.labels(self.service, stage, path, device).observe(spent)

    def observe_rate(self, *, path: str, quality: float, size: int, bpp: float) -> None:
        """Record the size of one bitstream."""
        self.bitstream_bytes.labels(path).observe(size)
        self.rate.labels(path, str(round(quality))).observe(bpp)
