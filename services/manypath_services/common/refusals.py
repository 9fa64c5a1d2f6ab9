"""Every refusal has a reason that is counted, and told to the log once a minute."""

from __future__ import annotations

import logging
import threading
import time
from typing import Literal, get_args

from prometheus_client import Counter

Reason = Literal[
    "queue_full",
    "expired",
    "cancelled",
    "abandoned",
    "too_late",
    "caller_rate",
    "calls",
    "body_bytes",
    "body_slow",
    "uplink_full",
    "downstream_away",
]
"""Why a request was not computed.

queue_full, expired, cancelled: while it waited. abandoned: its caller left during compute. too_late: it could not be
ready before its deadline. caller_rate: its caller comes more often than it may. calls, body_bytes, body_slow: before
its message was there. uplink_full, downstream_away: its next server is busy, or known to be away.
"""
_PERIOD_SECONDS = 60.0

_log = logging.getLogger(__name__)


class Refusals:
    """Counts refusals by reason.

    Args:
        counter: with one label, the reason; all of them appear in it at once, with 0.
    """

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._lock = threading.Lock()
        self._untold: dict[str, int] = {}
        self._told: dict[str, float] = {}
        for reason in get_args(Reason):
            counter.labels(reason)

    def count(self, reason: Reason, example: str = "") -> None:
        """Count one.

        Args:
            reason: why.
            example: one case of it, for the log.
        """
        self._counter.labels(reason).inc()
        now = time.monotonic()
        with self._lock:
            self._untold[reason] = self._untold.get(reason, 0) + 1
            if now < self._told.get(reason, -_PERIOD_SECONDS) + _PERIOD_SECONDS:
                return
            self._told[reason] = now
            number = self._untold.pop(reason)
        _log.warning("refused", extra={"reason": reason, "refused": number, "example": example})
