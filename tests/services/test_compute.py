"""One thread, a bounded queue, and nothing computed for nobody."""

from __future__ import annotations

import asyncio
import threading
from typing import Self

import pytest

from manypath_services.common import logs
from manypath_services.common.compute import Compute
from manypath_services.common.errors import ExpiredError, OverloadedError
from manypath_services.common.metrics import ServiceMetrics


class Blocked:
    """A compute thread that is busy until it is freed."""

    def __init__(self, queue_limit: int = 4) -> None:
        self.metrics = ServiceMetrics("test", "0")
        self.compute = Compute(self.metrics, queue_limit=queue_limit, pushback_seconds=0.5)
        self._free = threading.Event()
        self._begun = asyncio.Event()
        self.ran: list[str] = []

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()

        def work() -> None:
            loop.call_soon_threadsafe(self._begun.set)
            self._free.wait(30)

        self._blocking = asyncio.create_task(self.compute.run(work, timeout_seconds=None))
        await self._begun.wait()
        return self

    async def free(self) -> None:
        self._free.set()
        await self._blocking

    async def __aexit__(self, *_: object) -> None:
        await self.free()
        self.compute.close()

    def submit(self, name: str, timeout_seconds: float | None = None) -> asyncio.Task:
        return asyncio.create_task(self.compute.run(lambda: self.ran.append(name), timeout_seconds=timeout_seconds))

    def shed(self, reason: str) -> float:
        return self.metrics.registry.get_sample_value("manypath_requests_shed_total", {"reason": reason})

    def depth(self) -> float:
        return self.metrics.registry.get_sample_value("manypath_queue_depth")


async def turns() -> None:
    """Let tasks that were just made begin."""
    for _ in range(3):
        await asyncio.sleep(0)


def test_work_runs_in_order_and_not_on_the_loops_thread():
    async def body():
        async with Blocked() as blocked:
            threads = []
            first, second = blocked.submit("first"), blocked.submit("second")
            third = asyncio.create_task(
                blocked.compute.run(lambda: threads.append(threading.current_thread()), timeout_seconds=None)
            )
            await blocked.free()
            await asyncio.gather(first, second, third)
            assert blocked.ran == ["first", "second"]
            assert threads != [threading.current_thread()]

    asyncio.run(body())


def test_errors_of_the_work_come_back_as_they_are():
    async def body():
        async with Blocked() as blocked:
            await blocked.free()
            with pytest.raises(ZeroDivisionError):
                await blocked.compute.run(lambda: 1 / 0, timeout_seconds=None)

    asyncio.run(body())


def test_what_the_queue_cannot_hold_is_refused_at_once_with_a_pushback():
    async def body():
        async with Blocked(queue_limit=2) as blocked:
            waiting = [blocked.submit("one"), blocked.submit("two")]
            await turns()
            assert blocked.depth() == 2
            with pytest.raises(OverloadedError) as refused:
                await blocked.compute.run(lambda: None, timeout_seconds=None)
            assert refused.value.pushback_seconds == 0.5
            assert blocked.shed("queue_full") == 1
            await blocked.free()
            await asyncio.gather(*waiting)
            assert blocked.depth() == 0

    asyncio.run(body())


def test_a_cancelled_request_is_never_computed():
    async def body():
        async with Blocked() as blocked:
            gone, stays = blocked.submit("gone"), blocked.submit("stays")
            await turns()
            gone.cancel()
            await asyncio.gather(gone, return_exceptions=True)
            assert blocked.depth() == 1
            await blocked.free()
            await stays
            assert blocked.ran == ["stays"]
            assert blocked.shed("cancelled") == 1

    asyncio.run(body())


def test_an_expired_request_is_never_computed():
    async def body():
        async with Blocked() as blocked:
            late = blocked.submit("late", timeout_seconds=0.0)
            await turns()
            await blocked.free()
            with pytest.raises(ExpiredError, match="before compute"):
                await late
            assert blocked.ran == []
            assert blocked.shed("expired") == 1

    asyncio.run(body())


def test_closing_finishes_what_was_accepted():
    async def body():
        async with Blocked() as blocked:
            accepted = blocked.submit("accepted")
            await turns()
            await blocked.free()
            await asyncio.to_thread(blocked.compute.close)
            await accepted
            assert blocked.ran == ["accepted"]

    asyncio.run(body())


def test_the_request_id_reaches_the_thread():
    async def body():
        async with Blocked() as blocked:
            await blocked.free()
            logs.request_id.set("mine")
            computed = await blocked.compute.run(logs.request_id.get, timeout_seconds=None)
            assert computed.value == "mine"

    asyncio.run(body())
