"""A next server seen from here: how many calls may wait for it, whether it is worth asking now, and how calls ended.

A server that hangs must not take along who waits for it, and one that is away is not asked by every caller anew.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import grpc
from prometheus_client import Counter, Gauge

from manypath_services.common.errors import DownstreamAwayError, OverloadedError, ServiceError
from manypath_services.common.refusals import Refusals

_FAILURES = 5  # in a row, after which it counts as away
_FIRST_PAUSE = 0.5  # seconds until it is tried again, twice as long each time
_LONGEST_PAUSE = 4.0
_PATIENCE = 1.0  # seconds: who waited less long says nothing of the server
_COME_AGAIN_SECONDS = 1.0
_AWAY = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED})


class Downstream:
    """Guards the calls to one server.

    Args:
        label: its name in metrics.
        words: its name in messages, such as "the decoder at localhost:50052".
        limit: calls that may be under way.
        calls: counts them, by label and status.
        under_way: shows them, by label.
        refusals: where those that were not made are counted.
    """

    def __init__(
        self, label: str, words: str, *, limit: int, calls: Counter, under_way: Gauge, refusals: Refusals
    ) -> None:
        self._label = label
        self._words = words
        self._limit = limit
        self._calls = calls
        self._under_way = under_way.labels(label)
        self._refusals = refusals
        self._places = 0
        self._failures = 0
        self._closed_until = 0.0
        self._trying = False

    def check(self) -> None:
        """Refuse a call early, before work is done for it.

        Raises:
            OverloadedError: too many are under way.
            DownstreamAwayError: the last ones all failed, and it is not yet time for another try.
        """
        now = time.monotonic()
        if self._failures >= _FAILURES and (now < self._closed_until or self._trying):
            self._refusals.count("downstream_away", self._words)
            wait = max(0.1, self._closed_until - now)
            raise DownstreamAwayError(
                f"{self._words} answered none of the last {self._failures} calls; it is tried again in {wait:.1f} s"
            )
        if self._places >= self._limit:
            self._refusals.count("uplink_full", self._words)
            raise OverloadedError(
                f"{self._places} calls wait for {self._words}, at most {self._limit} may; come again",
                _COME_AGAIN_SECONDS,
            )

    @contextmanager
    def place(self) -> Iterator[None]:
        """Take one of the places for as long as the block lasts; see ``check``."""
        self.check()
        self._count(1)
        try:
            yield
        finally:
            self._count(-1)

    @asynccontextmanager
    async def call(self) -> AsyncIterator[None]:
        """Surround one call: it is counted under its true status, and what it says of the server is learnt."""
        begun = time.monotonic()
        code = grpc.StatusCode.CANCELLED
        trying = self._failures >= _FAILURES
        self._trying = self._trying or trying
        try:
            yield
            code = grpc.StatusCode.OK
        except grpc.aio.AioRpcError as err:
            code = err.code()
            raise
        except ServiceError as err:
            code = getattr(err, "answered", None) or err.code
            raise
        except asyncio.CancelledError:
            raise
        except Exception:
            code = grpc.StatusCode.UNKNOWN
            raise
        finally:
            if trying:
                self._trying = False
            self._calls.labels(self._label, code.name).inc()
            self._learn(code, time.monotonic() - begun)

    def _learn(self, code: grpc.StatusCode, seconds: float) -> None:
        if code is grpc.StatusCode.CANCELLED or (code is grpc.StatusCode.DEADLINE_EXCEEDED and seconds < _PATIENCE):
            return
        if code not in _AWAY:
            self._failures = 0
            return
        self._failures += 1
        beyond = min(max(0, self._failures - _FAILURES), 10)
        self._closed_until = time.monotonic() + min(_FIRST_PAUSE * 2**beyond, _LONGEST_PAUSE)

    def _count(self, change: int) -> None:
        self._places += change
        self._under_way.set(self._places)
