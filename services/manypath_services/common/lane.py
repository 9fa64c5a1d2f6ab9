"""What waits for one compute thread: by turns, shortest expected work first, with ageing; what of it goes together."""

from __future__ import annotations

import contextvars
import random
import threading
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import Future
from typing import Any, NamedTuple

from manypath_services.common.errors import AbandonedError, ExpiredError, OverloadedError, StoppingError
from manypath_services.common.turns import Turns

BatchWork = Callable[[Sequence[Any]], Sequence[Any]]
"""Computes several items at once; for each its result, or the exception that it alone failed with."""

_START_PIXELS = (
    2**14
)  # what a request costs beside its pixels, as so many of them: some ten milliseconds on a slow core
_WEIGHT = 0.2  # of the latest measurement
_OPTIMISM = 0.5  # an estimate refuses only what would miss its deadline even in half the time
_FORGETTING = 0.98  # of an estimate at each refusal, so that one which was wrong does not refuse for ever
_LONGEST_PUSHBACK = 10.0  # seconds
_local = threading.local()
_answering = threading.Lock()


class Job:
    """One request's work.

    Args:
        work: see ``BatchWork``.
        item: for it.
        pixels: that it works on, or elements of tensors.
        key: jobs of the same work and key may be computed together; None is computed alone.
        deadline: by ``time.monotonic``, after which nobody waits; None is never.
        caller: whose it is; empty where nobody has a name.
    """

    def __init__(
        self,
        work: BatchWork,
        item: Any,
        *,
        pixels: int,
        key: Hashable | None,
        deadline: float | None,
        caller: str = "",
    ) -> None:
        self.caller = caller
        self.work = work
        self.item = item
        self.pixels = pixels
        self.key = key
        self.deadline = deadline
        self.cost = pixels + _START_PIXELS
        self.arrived = time.monotonic()
        self.begun = 0.0
        self.future: Future[Any] = Future()
        self.context = contextvars.copy_context()
        self.gone = False
        self._answered = False

    def to_be_answered(self) -> bool:
        """Return whether the caller has no answer yet; True once."""
        with _answering:
            answered, self._answered = self._answered, True
        return not answered

    def nobody_waits(self) -> bool:
        """Return whether nobody waits for this any more."""
        return self.gone or (self.deadline is not None and time.monotonic() > self.deadline)


class Batch(NamedTuple):
    """Jobs that are computed together."""

    jobs: list[Job]

    @property
    def pixels(self) -> int:
        """Of all of them."""
        return sum(job.pixels for job in self.jobs)

    def nobody_waits(self) -> bool:
        """Return whether nobody waits for any of them."""
        return all(job.nobody_waits() for job in self.jobs)


def computing(batch: Batch) -> None:
    """Note what this thread computes, for ``check_waited``."""
    _local.batch = batch


def check_waited() -> None:
    """End the work of this thread if nobody waits for it any more; called between steps of any long work.

    Raises:
        AbandonedError: nobody does.
    """
    if nobody_waits_here()():
        raise AbandonedError("nobody waits for this any more")


def nobody_waits_here() -> Callable[[], bool]:
    """Return what tells, in any thread, whether anybody waits for the work of this one."""
    batch: Batch | None = getattr(_local, "batch", None)
    return (lambda: False) if batch is None else batch.nobody_waits


class Lane:
    """What waits for one thread. Its methods are called with the lock held.

    Args:
        limit: jobs that may wait.
        pixels: that may wait; a single job is always let in.
        pushback_seconds: least time for which a refused caller is asked to stay away.
    """

    def __init__(self, *, limit: int, pixels: int, pushback_seconds: float) -> None:
        self._limit = limit
        self._pixels = pixels
        self._pushback_seconds = pushback_seconds
        self._turns: Turns[Job] = Turns()
        self._seconds_per_cost = 0.0  # unknown
        self._promised = 0.0
        self.running: Batch | None = None

    @property
    def waiting(self) -> int:
        """How many jobs wait."""
        return self._turns.jobs

    @property
    def waiting_pixels(self) -> int:
        """Their pixels."""
        return self._turns.pixels

    def add(self, job: Job) -> list[tuple[Job, OverloadedError]]:
        """Let a job wait; return those that make room for it, since their caller has more here than its share.

        Raises:
            OverloadedError: too many do, or its turn would come too late.
            ExpiredError: it would take longer than its caller waits.
        """
        displaced = self._turns.room_for(job, jobs=self._limit, pixels=self._pixels)
        if displaced is None and self.waiting >= self._limit:
            raise OverloadedError(
                f"{self.waiting} requests are waiting, at most {self._limit} may; come again", self._pushback(job)
            )
        if displaced is None:
            raise OverloadedError(
                f"requests of {self.waiting_pixels} pixels are waiting, at most {self._pixels} may; come again",
                self._pushback(job),
            )
        own = self._seconds_per_cost * job.cost
        if job.deadline is not None:
            left = max(0.0, job.deadline - job.arrived)
            if _OPTIMISM * own > left:
                self._seconds_per_cost *= _FORGETTING
                raise ExpiredError(f"this takes about {own:.1f} s, and the deadline leaves {left:.3f} s")
            if _OPTIMISM * (own + self._seconds_before(job)) > left:
                self._seconds_per_cost *= _FORGETTING
                before = self._seconds_before(job)
                raise OverloadedError(
                    f"about {before:.1f} s of work are waiting, and the deadline leaves {left:.3f} s",
                    self._pushback(job),
                )
        # Shortest expected work first, and nobody is passed for ever: long work is passed by what arrives while it
        # would have been computed, not by what arrives later.
        for one in displaced:
            self.leave(one)
        self._turns.add(job, job.arrived + own)
        told = "requests are waiting, and others have fewer of them; come again"
        return [(one, OverloadedError(told, self._pushback(one))) for one in displaced]

    def leave(self, job: Job) -> None:
        """Take a job out whose caller left before its turn."""
        if not job.begun and not job.gone:
            job.gone = True
            self._turns.remove(job)

    def take(self, *, most: int, pixels: int) -> tuple[Batch | None, list[Job]]:
        """Return the next jobs that go together, and those whose time was over before their turn."""
        late: list[Job] = []
        while (first := self._turns.first()) is not None:
            if self._begins(first, late):
                batch = Batch([first])
                if first.key is not None and most > 1:
                    batch.jobs.extend(self._others(first, most - 1, pixels - first.pixels, late))
                self.running = batch
                return batch, late
        return None, late

    def measured(self, batch: Batch, seconds: float) -> None:
        """Learn how long work takes; of what was ended early only that it takes longer than was thought."""
        now = seconds / sum(job.cost for job in batch.jobs)
        if any(job.gone for job in batch.jobs) and now < self._seconds_per_cost:
            return
        weight = _WEIGHT if self._seconds_per_cost else 1.0
        self._seconds_per_cost += weight * (now - self._seconds_per_cost)

    def stop(self) -> Iterator[Job]:
        """Take everything out that waits."""
        while (job := self._turns.first()) is not None:
            self.leave(job)
            yield job

    def _begins(self, job: Job, late: list[Job]) -> bool:
        job.begun = time.monotonic()
        if job.nobody_waits():
            self._turns.remove(job)
            late.append(job)
            return False
        self._turns.take(job)
        return True

    def _others(self, first: Job, most: int, pixels: int, late: list[Job]) -> Iterator[Job]:
        for job in list(self._turns.in_turns()):
            fits = job.work == first.work and job.key == first.key and job.pixels <= pixels
            if most and fits and self._begins(job, late):
                most -= 1
                pixels -= job.pixels
                yield job

    def _seconds_before(self, job: Job) -> float:
        """Return the seconds of work that come before ``job``."""
        running = 0.0
        if self.running is not None:
            begun = self.running.jobs[0].begun
            cost = sum(one.cost for one in self.running.jobs)
            running = max(0.0, self._seconds_per_cost * cost - (job.arrived - begun))
        due = job.arrived + self._seconds_per_cost * job.cost
        return running + self._seconds_per_cost * self._turns.cost_before(job, due)

    def _pushback(self, job: Job) -> float:
        """Return the seconds after which a refused caller may come again.

        Each gets a time of its own behind those of the others, one service time apart, so that they do not come
        together.
        """
        now = time.monotonic()
        queued = now + self._seconds_per_cost * self._turns.cost
        self._promised = min(max(self._promised, queued) + self._seconds_per_cost * job.cost, now + _LONGEST_PUSHBACK)
        jitter = 1 + 0.2 * random.random()
        return jitter * max(self._pushback_seconds, self._promised - now)


def stopping() -> Exception:
    """Return the error of work that a stopping server does not wait for."""
    return StoppingError("the server is stopping and could not wait for this; ask another one, or come again")
