"""Threads that compute, behind bounded queues: inference never runs on the event loop.

There is one thread for everything, and where small pictures matter one more for them: a picture of 12 Mpx takes
seconds, and cannot be asked to wait in its middle; the kernel shares the core between the two.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from manypath_services.common import admission, logs, memory
from manypath_services.common.errors import AbandonedError, ExpiredError, OverloadedError
from manypath_services.common.lane import Batch, Job, Lane, computing, stopping
from manypath_services.common.metrics import ServiceMetrics
from manypath_services.common.settings import ServiceSettings

Item = TypeVar("Item")
Result = TypeVar("Result")

_LARGE_PIXELS = 2**22  # whose memory is worth giving back
_LESS = 5  # of niceness: a third of the other thread's share
EXPRESS = 1
"""Number of the thread for small work; 0 is the other one's."""
_local = threading.local()


class Computed(NamedTuple, Generic[Result]):
    """What work returned.

    Attributes:
        value: the result.
        wait_seconds: that the work waited for its turn.
    """

    value: Result
    wait_seconds: float


def current_lane() -> int:
    """Return the number of the compute thread that calls this; 0 outside of them."""
    number: int = getattr(_local, "lane", 0)
    return number


class Compute:
    """Runs work in threads; torch and onnxruntime release the GIL there.

    Callers with names share a thread's time and its queue evenly, see ``turns``.

    Work whose caller went away, or whose deadline passed while it waited, is dropped before it begins. Work that has
    begun ends at its next ``lane.check_waited``.

    Args:
        metrics: where depth, waits, batches and refusals are counted.
        queue_limit: requests that may wait in each queue; more are refused.
        pushback_seconds: least time that a refused caller is asked to stay away.
        queue_pixels: that may wait in each queue.
        batch_limit: requests computed together at most.
        batch_pixels: of such a batch at most.
        express_pixels: work of at most so many has a thread of its own; 0 is no such thread.
    """

    def __init__(
        self,
        metrics: ServiceMetrics,
        *,
        queue_limit: int,
        pushback_seconds: float,
        queue_pixels: int = 2**26,
        batch_limit: int = 16,
        batch_pixels: int = 2**20,
        express_pixels: int = 0,
    ) -> None:
        self._metrics = metrics
        self._batch_limit = batch_limit
        self._batch_pixels = batch_pixels
        self._express_pixels = express_pixels
        self._lanes = [
            Lane(limit=queue_limit, pixels=queue_pixels, pushback_seconds=pushback_seconds)
            for _ in range(2 if express_pixels else 1)
        ]
        self._changed = threading.Condition()
        self._closing = False
        self._threads = [
            threading.Thread(target=self._serve, args=(number,), name=f"compute-{number}", daemon=True)
            for number in range(len(self._lanes))
        ]
        metrics.compute_age.set_function(self._age)
        for thread in self._threads:
            thread.start()

    @classmethod
    def of(cls, settings: ServiceSettings, metrics: ServiceMetrics, *, express_pixels: int = 0) -> Compute:
        """Return what the settings ask for."""
        return cls(
            metrics,
            queue_limit=settings.queue_limit,
            pushback_seconds=settings.pushback_seconds,
            queue_pixels=settings.queue_pixels,
            batch_limit=settings.batch_limit,
            batch_pixels=settings.batch_pixels,
            express_pixels=express_pixels,
        )

    @property
    def lanes(self) -> int:
        """How many threads compute."""
        return len(self._lanes)

    async def run(
        self, work: Callable[[], Result], *, timeout_seconds: float | None, pixels: int = 0
    ) -> Computed[Result]:
        """Run ``work`` in a thread, in the caller's context.

        Args:
            work: what to run.
            timeout_seconds: after which nobody waits for the answer any more; None is never.
            pixels: that it works on.

        Raises:
            OverloadedError: the queue is full, or its turn would come too late.
            ExpiredError: the time was over before the work began, or is too short for it.
        """

        def alone(_: Sequence[None]) -> Sequence[Result]:
            return [work()]

        return await self.run_batched(alone, None, key=None, timeout_seconds=timeout_seconds, pixels=pixels)

    async def run_batched(
        self,
        work: Callable[[Sequence[Item]], Sequence[Result | Exception]],
        item: Item,
        *,
        key: Hashable | None,
        timeout_seconds: float | None,
        pixels: int,
    ) -> Computed[Result]:
        """Run ``work`` on ``item`` in a thread, together with what else is waiting; see ``run``.

        Nothing waits for company: what is there when the thread is free goes together.

        Args:
            work: computes several items; for each its result, or the exception that it alone failed with.
            item: one of them.
            key: items of the same work and key may go together; None goes alone.
            timeout_seconds: after which nobody waits for the answer any more; None is never.
            pixels: of the item.
        """
        deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        job = Job(work, item, pixels=pixels, key=key, deadline=deadline, caller=admission.caller.get())
        lane = self._lanes[EXPRESS if pixels <= self._express_pixels and self.lanes > 1 else 0]
        with self._changed:
            try:
                displaced = lane.add(job)
            except OverloadedError:
                self._metrics.refusals.count("queue_full", f"{pixels} pixels")
                raise
            except ExpiredError:
                self._metrics.refusals.count("too_late", f"{pixels} pixels")
                raise
            self._show()
            self._changed.notify_all()
        for other, error in displaced:
            self._metrics.refusals.count("queue_full", other.caller)
            _end(other, error)
        try:
            return Computed(await asyncio.wrap_future(job.future), job.begun - job.arrived)
        except asyncio.CancelledError:
            with self._changed:
                self._metrics.refusals.count("abandoned" if job.begun else "cancelled")
                logs.note(**{logs.STAGE: "compute" if job.begun else "queue"})
                lane.leave(job)
                job.gone = True
                self._show()
            raise

    def abandon(self) -> None:
        """End everything that waits or is computed: callers learn at once that the server stops."""
        with self._changed:
            stopped = [job for lane in self._lanes for job in lane.stop()]
            stopped += [job for lane in self._lanes if lane.running is not None for job in lane.running.jobs]
            for job in stopped:
                job.gone = True
            self._show()
        for job in stopped:
            _end(job, stopping())

    def close(self, timeout_seconds: float | None = None) -> None:
        """Finish what was accepted, then end the threads; return after ``timeout_seconds`` even if they did not."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        until = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        for thread in self._threads:
            thread.join(None if until is None else max(0.0, until - time.monotonic()))

    def _serve(self, number: int) -> None:
        _local.lane = number
        lane = self._lanes[number]
        if number != EXPRESS and self.lanes > 1:
            _give_way()
        while True:
            with self._changed:
                batch, late = lane.take(most=self._batch_limit, pixels=self._batch_pixels)
                self._show()
                if batch is None and not late:
                    if self._closing:
                        return
                    self._changed.wait()
                    continue
            for job in late:
                self._metrics.refusals.count("expired")
                seconds = job.begun - job.arrived
                _end(job, ExpiredError(f"the deadline passed after {seconds:.3f} s in the queue, before compute"))
            if batch is not None:
                self._compute(lane, batch)

    def _compute(self, lane: Lane, batch: Batch) -> None:
        self._metrics.batch_size.observe(len(batch.jobs))
        for job in batch.jobs:
            self._metrics.queue_wait.observe(job.begun - job.arrived)
        begun = time.perf_counter()
        computing(batch)
        results = self._results(batch)
        seconds = time.perf_counter() - begun
        with self._changed:
            lane.running = None
            lane.measured(batch, seconds)
            self._show()
        for job, result in zip(batch.jobs, results, strict=True):
            _end(job, result)
        if batch.pixels > _LARGE_PIXELS:
            memory.give_back()

    def _results(self, batch: Batch) -> Sequence[Any]:
        first = batch.jobs[0]
        try:
            return first.context.run(first.work, [job.item for job in batch.jobs])
        except AbandonedError as err:
            return [err] * len(batch.jobs)
        except Exception as err:  # noqa: BLE001  (it belongs to the caller, in whose task it is raised)
            if len(batch.jobs) == 1:
                return [err]
        return [self._alone(job) for job in batch.jobs]  # whose fault it was shows, and the others have none

    def _alone(self, job: Job) -> Any:
        computing(Batch([job]))
        try:
            return job.context.run(job.work, [job.item])[0]
        except Exception as err:  # noqa: BLE001  (as above)
            return err

    def _show(self) -> None:
        metrics = self._metrics
        metrics.queue_depth.set(sum(lane.waiting for lane in self._lanes))
        metrics.queue_pixels.set(sum(lane.waiting_pixels for lane in self._lanes))
        metrics.compute_pixels.set(sum(lane.running.pixels for lane in self._lanes if lane.running is not None))

    def _age(self) -> float:
        running = [lane.running for lane in self._lanes]
        begun = [batch.jobs[0].begun for batch in running if batch is not None]
        return time.monotonic() - min(begun) if begun else 0.0


def _give_way() -> None:
    """Let this thread take less of a core than the one for small work, where both have work and there is one core."""
    thread = threading.get_native_id()
    with contextlib.suppress(OSError):  # Linux has priorities of threads
        os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + _LESS)


def _end(job: Job, result: Any) -> None:
    """Answer a job's caller, unless it left or was answered before: a stopping server does not wait for the work."""
    if not job.to_be_answered() or not job.future.set_running_or_notify_cancel():
        return
    if isinstance(result, Exception):
        job.future.set_exception(result)
    else:
        job.future.set_result(result)
