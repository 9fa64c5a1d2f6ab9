"""One thread that computes, behind a bounded queue: inference never runs on the event loop."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, NamedTuple, TypeVar

from manypath_services.common.errors import ExpiredError, OverloadedError
from manypath_services.common.metrics import ServiceMetrics

Result = TypeVar("Result")


class Computed(NamedTuple, Generic[Result]):
    """What work returned.

    Attributes:
        value: the result.
        wait_seconds: that the work waited for its turn.
    """

    value: Result
    wait_seconds: float


class Compute:
    """Runs work one at a time in a thread; torch and onnxruntime release the GIL there.

    Work whose caller went away, or whose deadline passed while it waited, is dropped before it begins.

    Args:
        metrics: where depth, waits and drops are counted.
        queue_limit: requests that may wait; more are refused.
        pushback_seconds: that a refused caller is asked to stay away.
    """

    def __init__(self, metrics: ServiceMetrics, *, queue_limit: int, pushback_seconds: float) -> None:
        self._metrics = metrics
        self._queue_limit = queue_limit
        self._pushback_seconds = pushback_seconds
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="compute")
        self._lock = threading.Lock()
        self._waiting = 0

    async def run(self, work: Callable[[], Result], *, timeout_seconds: float | None) -> Computed[Result]:
        """Run ``work`` in the thread, in the caller's context.

        Args:
            work: what to run.
            timeout_seconds: after which nobody waits for the answer any more; None is never.

        Raises:
            OverloadedError: the queue is full.
            ExpiredError: the time was over before the work began.
        """
        queued = time.monotonic()
        self._enter()
        context = contextvars.copy_context()

        def turn() -> Computed[Result]:
            self._leave()
            wait_seconds = time.monotonic() - queued
            if timeout_seconds is not None and wait_seconds >= timeout_seconds:
                self._metrics.shed.labels("expired").inc()
                raise ExpiredError(f"the deadline passed after {wait_seconds:.3f} s in the queue, before compute")
            self._metrics.queue_wait.observe(wait_seconds)
            return Computed(context.run(work), wait_seconds)

        future = self._executor.submit(turn)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            if future.cancel():  # its turn had not come, and will not
                self._leave()
                self._metrics.shed.labels("cancelled").inc()
            raise

    def close(self) -> None:
        """Finish what was accepted, then end the thread."""
        self._executor.shutdown()

    def _enter(self) -> None:
        with self._lock:
            if self._waiting >= self._queue_limit:
                self._metrics.shed.labels("queue_full").inc()
                raise OverloadedError(
                    f"{self._waiting} requests are waiting, at most {self._queue_limit} may; come again",
                    self._pushback_seconds,
                )
            self._waiting += 1
            self._metrics.queue_depth.set(self._waiting)

    def _leave(self) -> None:
        with self._lock:
            self._waiting -= 1
            self._metrics.queue_depth.set(self._waiting)
