"""A spool and its sender as Prometheus sees them; read when they are scraped, from counts in memory."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from manypath_camera.sender import Sender, SenderState
from manypath_camera.spool import Spool


class SpoolCollector(Collector):
    """``manypath_spool_*`` and ``manypath_uplink_*`` of one process.

    Args:
        spool: whose counts are shown.
        sender: that empties it.
    """

    def __init__(self, spool: Spool, sender: Sender) -> None:
        self._spool = spool
        self._sender = sender

    def collect(self) -> Iterator[Metric]:
        """Yield every metric as it is now."""
        spool, sender = self._spool, self._sender
        yield GaugeMetricFamily("manypath_spool_items", "Frames on disk.", value=spool.items)
        yield GaugeMetricFamily("manypath_spool_bytes", "Bytes of frames on disk.", value=spool.size_bytes)
        yield GaugeMetricFamily("manypath_spool_limit_bytes", "Most bytes of frames.", value=spool.limits.max_bytes)
        yield GaugeMetricFamily(
            "manypath_spool_oldest_age_seconds", "Age of the oldest frame.", value=spool.oldest_age_seconds
        )
        dropped = CounterMetricFamily(
            "manypath_spool_dropped", "Frames that left undelivered, by reason.", labels=["reason"]
        )
        for reason, count in spool.dropped.items():
            dropped.add_metric([reason.value], count)
        yield dropped
        yield GaugeMetricFamily(
            "manypath_uplink_open",
            "1 while the stream to the receiver is open.",
            value=sender.state is SenderState.OPEN,
        )
        counts = sender.counts
        yield CounterMetricFamily("manypath_uplink_streams", "Streams that were opened.", value=counts.streams)
        yield CounterMetricFamily(
            "manypath_uplink_failures", "Streams and attempts that failed.", value=counts.failures
        )
        yield CounterMetricFamily(
            "manypath_uplink_frames_sent", "Frames sent, those sent again included.", value=counts.sent
        )
        yield CounterMetricFamily(
            "manypath_uplink_frames_acknowledged", "Frames that the receiver has.", value=counts.acknowledged
        )
        yield CounterMetricFamily("manypath_uplink_sent_bytes", "Bytes of messages with frames.", value=counts.bytes)
        yield GaugeMetricFamily(
            "manypath_uplink_rate_limit_bits_per_second",
            "Rate that sending keeps to; 0 is none.",
            value=sender.bits_per_second or 0.0,
        )
