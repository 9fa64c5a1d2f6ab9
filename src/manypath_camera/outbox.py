"""Which frame of a spool goes next: live ones first, the backlog with a share, refused ones in their time."""

from __future__ import annotations

import heapq
from collections import deque

from manypath_camera.spool import Item, Spool

_AT_ONCE_ITEMS = 16
_AT_ONCE_BYTES = 2**20


class Outbox:
    """Hands out the frames of a spool, each once, for one stream. Its methods read the disk: not for an event loop.

    Args:
        spool: where the frames are.
        backlog_share: of the bytes, that frames from before this stream get while newer ones wait; 0..1.
    """

    def __init__(self, spool: Spool, backlog_share: float) -> None:
        self._spool = spool
        self._share = backlog_share
        self._boundary = spool.last_sequence  # what is in the spool now is backlog
        self._live_after = self._boundary
        self._backlog_after = 0
        self._live: deque[Item] = deque()
        self._backlog: deque[Item] = deque()
        self._retries: list[tuple[float, int]] = []
        self._credit = 0.0  # bytes that the backlog is owed

    @property
    def has_backlog(self) -> bool:
        """Whether frames from before this stream are still to be sent."""
        return bool(self._backlog) or self._backlog_after < self._boundary

    @property
    def live_after(self) -> int:
        """The last sequence number that was there when the stream began."""
        return self._boundary

    def is_ready(self, now: float) -> bool:
        """Return whether ``next`` will answer from memory."""
        backlog = bool(self._backlog) or self._backlog_after >= self._boundary
        return bool(self._live) and backlog and not (self._retries and self._retries[0][0] <= now)

    def retry(self, at: float, sequence: int) -> None:
        """Hand out a frame once more, from a time of the monotonic clock on."""
        heapq.heappush(self._retries, (at, sequence))

    def next_retry(self) -> float | None:
        """Return when the next refused frame may go; None where there is none."""
        return self._retries[0][0] if self._retries else None

    def next(self, now: float) -> Item | None:
        """Return the next frame, claimed; None where none is waiting."""
        while self._retries and self._retries[0][0] <= now:
            _, sequence = heapq.heappop(self._retries)
            found = self._fetch(sequence - 1, sequence)
            if found:  # else it was dropped meanwhile
                return found.popleft()
        if not self._live and self._spool.last_sequence > self._live_after:
            last = self._spool.last_sequence
            self._live = self._fetch(self._live_after, last)
            self._live_after = self._live[-1].sequence if self._live else last
        if not self._backlog and self._backlog_after < self._boundary:
            self._backlog = self._fetch(self._backlog_after, self._boundary)
            self._backlog_after = self._backlog[-1].sequence if self._backlog else self._boundary
        if self._live and self._backlog:
            return self._choose()
        queue = self._live or self._backlog
        return queue.popleft() if queue else None

    def _choose(self) -> Item:
        price = (1 - self._share) * len(self._backlog[0].payload)
        if self._credit >= price:
            item = self._backlog.popleft()
            self._credit -= price
        else:
            item = self._live.popleft()
            self._credit += self._share * len(item.payload)
        return item

    def _fetch(self, after: int, upto: int) -> deque[Item]:
        found = self._spool.fetch(after, upto, max_items=_AT_ONCE_ITEMS, max_bytes=_AT_ONCE_BYTES)
        self._spool.claim(item.sequence for item in found)
        return deque(found)
