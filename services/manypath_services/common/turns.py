"""Whose turn it is: callers share the compute evenly, and what one of them waits for goes shortest first.

A caller is who a certificate or a token names; all without a name are one. Each has a clock that runs by what was
computed for it, and the one whose clock is furthest behind is next (start-time fair queueing). Who comes after a pause
begins where the others are: time in which nothing was asked is not saved up.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterator
from itertools import chain
from typing import Generic, Protocol, TypeVar


class Waiting(Protocol):
    """What waits for its turn.

    Attributes:
        caller: whose it is; empty where nobody has a name.
        pixels: that it works on.
        cost: of it, as pixels.
    """

    caller: str
    pixels: int
    cost: int


One = TypeVar("One", bound=Waiting)


class _Line(Generic[One]):
    """What one caller waits for, shortest first."""

    def __init__(self) -> None:
        self.places: list[tuple[float, int, One]] = []
        self.clock = 0.0
        self.cost = 0


class Turns(Generic[One]):
    """What waits, by caller.

    Attributes:
        jobs: that wait.
        pixels: of them.
        cost: of them.
    """

    def __init__(self) -> None:
        self._lines: dict[str, _Line[One]] = {}
        self._now = 0.0
        self._number = 0
        self.jobs = self.pixels = self.cost = 0

    def add(self, job: One, due: float) -> None:
        """Let a job wait; among those of its caller the one that is due first goes first."""
        line = self._lines.setdefault(job.caller, _Line())
        if not line.places:
            line.clock = max(line.clock, self._now)
        insort(line.places, (due, self._number, job))
        self._number += 1
        self._count(line, job, 1)

    def remove(self, job: One) -> None:
        """Take a job out that is not computed."""
        line = self._lines[job.caller]
        line.places = [place for place in line.places if place[2] is not job]
        self._count(line, job, -1)

    def first(self) -> One | None:
        """Return the job whose turn it is; None where nothing waits."""
        lines = [line for line in self._lines.values() if line.places]
        if not lines:
            return None
        return min(lines, key=lambda line: (line.clock, line.places[0])).places[0][2]

    def take(self, job: One) -> None:
        """Take a job out that is computed now, at its caller's expense."""
        self.remove(job)
        line = self._lines[job.caller]
        self._now = max(self._now, line.clock)
        line.clock += job.cost
        if not self.jobs:
            self._lines.clear()
        else:
            self._lines = {name: one for name, one in self._lines.items() if one.places or one.clock > self._now}

    def in_turns(self) -> Iterator[One]:
        """Yield all jobs: the first of each caller, then the second of each."""
        ranked = ((rank, place) for line in self._lines.values() for rank, place in enumerate(line.places))
        for _, place in sorted(ranked):
            yield place[2]

    def cost_before(self, job: One, due: float) -> float:
        """Return the cost of what would come before a job that is not in here."""
        line = self._lines.get(job.caller, _Line())
        own = sum(place[2].cost for place in line.places if place[0] <= due)
        done = max(line.clock, self._now) + own + job.cost  # its caller's clock, when it is computed
        others = (one for name, one in self._lines.items() if name != job.caller)
        return own + sum(min(one.cost, max(0.0, done - one.clock)) for one in others)

    def room_for(self, job: One, *, jobs: int, pixels: int) -> list[One] | None:
        """Return which jobs must go so that one more fits; None if it has to stay outside.

        Jobs go that would be computed last, of the caller who has most here, and only as long as that caller still has
        more than the new job's; nobody's only one goes.

        Args:
            job: the new one.
            jobs: that may wait.
            pixels: that may wait; a single job always may.
        """
        if self.jobs < jobs and (not self.jobs or self.pixels + job.pixels <= pixels):
            return []
        left = {name: [place[2] for place in line.places] for name, line in self._lines.items()}
        own = left.get(job.caller, [])
        gone: list[One] = []

        def size(job_list: list[One], *, by_number: bool) -> int:
            return len(job_list) if by_number else sum(one.pixels for one in job_list)

        while True:
            here = list(chain.from_iterable(left.values()))
            by_number = len(here) >= jobs
            if not by_number and (not here or size(here, by_number=False) + job.pixels <= pixels):
                return gone
            several = (one for one in left.values() if len(one) > 1)
            greediest = max(several, key=lambda one: size(one, by_number=by_number), default=own)
            mine = size(own, by_number=by_number) + (1 if by_number else job.pixels)
            if greediest is own or size(greediest, by_number=by_number) <= mine:
                return None
            gone.append(greediest.pop())

    def _count(self, line: _Line[One], job: One, change: int) -> None:
        line.cost += change * job.cost
        self.jobs += change
        self.pixels += change * job.pixels
        self.cost += change * job.cost
