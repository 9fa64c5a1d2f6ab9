"""What is held of requests: how many messages are on their way at once, how many bytes stay while they are served.

gRPC does not tell how large a message is before it is there, and senders may be slow for honest reasons. So a message
that arrives quickly takes one of few places; one that takes longer moves to a second, larger group, which is thinned
out when memory grows. Who waits longest for a place is served last: under a flood of calls without messages a new
caller still gets its turn.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar

from manypath_services.common import memory
from manypath_services.common.errors import ExpiredError, OverloadedError
from manypath_services.common.metrics import ServiceMetrics

FAST_PLACES = 4  # of 64 MiB each; thousands of small messages a second pass through them
_FAST_SECONDS = 0.25
_SLOW_PLACES = 512
_SLOW_PLACES_IN_NEED = 4
_MOST_WAITING = 4096  # calls without a message: some kB each
_COME_AGAIN_SECONDS = 1.0
_LARGE_BYTES = 2**22  # of a message, whose memory is worth giving back
_GIVE_BACK_SECONDS = 2.5  # later; longer than the pause that memory.give_back itself makes


class _Arrival:
    """One message on its way."""

    def __init__(self, connection: str) -> None:
        self.connection = connection
        self.turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.limit: asyncio.Timeout | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.evicted = False


class _Body:
    """A message that is held."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.release: Callable[[], None] = lambda: None


_held: ContextVar[_Body | None] = ContextVar("held", default=None)


def release_body() -> None:
    """Say that the current call's message was let go, though the call goes on."""
    body = _held.get()
    if body is not None:
        body.release()


class Intake:
    """Bounds what is held of requests.

    Args:
        metrics: where refusals and held bytes are counted.
        held_bytes: of messages that are there, until their calls end.
        growth_bytes: of the process's memory, above which few slow messages are let go on.
        body_seconds: longest time for a message to arrive.
    """

    def __init__(
        self,
        metrics: ServiceMetrics,
        *,
        held_bytes: int,
        growth_bytes: int = 2**28,
        body_seconds: float = 60.0,
    ) -> None:
        self._metrics = metrics
        self._held_limit = held_bytes
        self._growth_bytes = growth_bytes
        self._body_seconds = body_seconds
        self._baseline = memory.allocated_bytes()
        self._fast: set[_Arrival] = set()
        self._slow: dict[_Arrival, None] = {}  # oldest first
        self._waiting: dict[_Arrival, None] = {}
        self._held = 0
        self._giving_back: asyncio.TimerHandle | None = None

    def measure(self) -> None:
        """Take what is allocated now as what the process needs without requests."""
        self._baseline = memory.allocated_bytes()

    @asynccontextmanager
    async def arriving(self, connection: str) -> AsyncIterator[None]:
        """Surround the wait for one message.

        Args:
            connection: that it comes by.

        Raises:
            OverloadedError: there is no place for it.
            ExpiredError: it did not arrive in time.
        """
        arrival = _Arrival(connection)
        try:
            async with asyncio.timeout(self._body_seconds) as arrival.limit:
                self._enter(arrival)
                await arrival.turn
                arrival.limit.reschedule(asyncio.get_running_loop().time() + self._body_seconds)
                yield
        except TimeoutError as err:
            if arrival.evicted:
                self._metrics.refusals.count("body_bytes", connection)
                message = "too many large or slow messages are on their way; come again"
                raise OverloadedError(message, _COME_AGAIN_SECONDS) from err
            self._metrics.refusals.count("body_slow", connection)
            raise ExpiredError(f"the request's message did not arrive within {self._body_seconds:g} s") from err
        finally:
            self._leave(arrival)

    @contextmanager
    def held(self, size: int) -> Iterator[None]:
        """Keep a message of ``size`` bytes for as long as the block lasts.

        Raises:
            OverloadedError: there are too many already.
        """
        if self._held and self._held + size > self._held_limit:
            self._metrics.refusals.count("body_bytes", f"{size} bytes")
            raise OverloadedError(
                f"requests of {self._held} bytes are being served, at most {self._held_limit} may; come again",
                _COME_AGAIN_SECONDS,
            )
        self._hold(size)
        body = _Body(size)
        _held.set(body)

        def release() -> None:
            freed, body.size = body.size, 0
            self._hold(-freed)
            if freed >= _LARGE_BYTES:
                self._give_back_later()

        body.release = release
        try:
            yield
        finally:
            release()

    def _give_back_later(self) -> None:
        """Give freed memory back once when a burst is over: to do so takes tens of milliseconds."""
        if self._giving_back is None:
            loop = asyncio.get_running_loop()
            self._giving_back = loop.call_later(_GIVE_BACK_SECONDS, self._give_back)

    def _give_back(self) -> None:
        self._giving_back = None
        threading.Thread(target=memory.give_back, name="memory", daemon=True).start()

    def _hold(self, change: int) -> None:
        self._held += change
        self._metrics.held_bytes.set(self._held)

    def _enter(self, arrival: _Arrival) -> None:
        if len(self._fast) < FAST_PLACES:
            self._admit(arrival)
            return
        self._waiting[arrival] = None
        if len(self._waiting) > _MOST_WAITING:
            self._evict(next(iter(self._waiting)))

    def _admit(self, arrival: _Arrival) -> None:
        self._fast.add(arrival)
        arrival.timer = asyncio.get_running_loop().call_later(_FAST_SECONDS, self._demote, arrival)
        if not arrival.turn.done():
            arrival.turn.set_result(None)

    def _demote(self, arrival: _Arrival) -> None:
        self._fast.discard(arrival)
        self._slow[arrival] = None
        in_need = memory.allocated_bytes() - self._baseline > self._growth_bytes
        places = _SLOW_PLACES_IN_NEED if in_need else _SLOW_PLACES
        while len(self._slow) > places:
            # of the connection that has most; among its messages the oldest, which has brought most
            busiest, _ = Counter(one.connection for one in self._slow).most_common(1)[0]
            self._evict(next(one for one in self._slow if one.connection == busiest))
        self._next()

    def _evict(self, arrival: _Arrival) -> None:
        self._slow.pop(arrival, None)
        self._waiting.pop(arrival, None)
        self._give_back_later()
        arrival.evicted = True
        if arrival.limit is not None:
            arrival.limit.reschedule(asyncio.get_running_loop().time())

    def _leave(self, arrival: _Arrival) -> None:
        if arrival.timer is not None:
            arrival.timer.cancel()
        self._fast.discard(arrival)
        self._slow.pop(arrival, None)
        self._waiting.pop(arrival, None)
        self._next()

    def _next(self) -> None:
        while self._waiting and len(self._fast) < FAST_PLACES:
            newest, _ = self._waiting.popitem()
            self._admit(newest)
