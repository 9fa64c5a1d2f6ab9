"""One thread, a bounded queue, and nothing computed for nobody."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from typing import Self

import pytest

from manypath_services.common import logs
from manypath_services.common.compute import EXPRESS, Compute, current_lane
from manypath_services.common.errors import AbandonedError, ExpiredError, OverloadedError, StoppingError
from manypath_services.common.lane import check_waited
from manypath_services.common.metrics import ServiceMetrics


class Blocked:
    """A compute thread that is busy until it is freed."""

    def __init__(self, queue_limit: int = 4, blocking_pixels: int = 0, **options: int) -> None:
        self.metrics = ServiceMetrics("test", "0")
        self.compute = Compute(self.metrics, queue_limit=queue_limit, pushback_seconds=0.5, **options)
        self._blocking_pixels = blocking_pixels
        self._free = threading.Event()
        self._begun = asyncio.Event()
        self.ran: list[str] = []

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()

        def work() -> None:
            loop.call_soon_threadsafe(self._begun.set)
            self._free.wait(30)

        self.blocking = asyncio.create_task(self.compute.run(work, timeout_seconds=None, pixels=self._blocking_pixels))
        await self._begun.wait()
        return self

    async def free(self) -> None:
        self._free.set()
        with contextlib.suppress(StoppingError):
            await self.blocking

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
            assert 0.5 <= refused.value.pushback_seconds <= 0.6
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


async def batched(compute: Compute, item: str, key: object, ran: list, pixels: int = 1) -> str:
    def work(items):
        ran.append(list(items))
        return [ValueError(one) if one == "bad" else one.upper() for one in items]

    work_of_all = _WORKS.setdefault(id(ran), work)
    return (await compute.run_batched(work_of_all, item, key=key, timeout_seconds=None, pixels=pixels)).value


_WORKS: dict[int, object] = {}


def test_what_waits_and_has_the_same_key_is_computed_together():
    async def body():
        async with Blocked(queue_limit=20) as blocked:
            ran: list = []
            waiting = [
                asyncio.create_task(batched(blocked.compute, name, key, ran))
                for name, key in (("a", 1), ("b", 2), ("c", 1), ("d", None), ("e", 1), ("f", None))
            ]
            await turns()
            await blocked.free()
            assert await asyncio.gather(*waiting) == ["A", "B", "C", "D", "E", "F"]
            assert sorted(map(len, ran)) == [1, 1, 1, 3]
            assert ["a", "c", "e"] in ran
            assert blocked.metrics.registry.get_sample_value("manypath_service_batch_size_sum") == 7

    asyncio.run(body())


def test_a_failure_in_a_batch_is_its_owners_alone():
    async def body():
        async with Blocked(queue_limit=20) as blocked:
            ran: list = []
            waiting = [asyncio.create_task(batched(blocked.compute, name, 1, ran)) for name in ("a", "bad", "c")]
            await turns()
            await blocked.free()
            answers = await asyncio.gather(*waiting, return_exceptions=True)
            assert [answers[0], answers[2]] == ["A", "C"]
            assert isinstance(answers[1], ValueError)

    asyncio.run(body())


def test_a_batch_that_fails_as_a_whole_is_computed_one_by_one():
    async def body():
        async with Blocked(queue_limit=20) as blocked:

            def work(items):
                if "bad" in items:
                    raise ZeroDivisionError
                return items

            waiting = [
                asyncio.create_task(blocked.compute.run_batched(work, one, key=1, timeout_seconds=None, pixels=1))
                for one in ("a", "bad", "c")
            ]
            await turns()
            await blocked.free()
            answers = await asyncio.gather(*waiting, return_exceptions=True)
            assert [answers[0].value, answers[2].value] == ["a", "c"]
            assert isinstance(answers[1], ZeroDivisionError)

    asyncio.run(body())


def test_batches_are_bounded_in_number_and_in_pixels():
    async def body():
        async with Blocked(queue_limit=40, batch_limit=3, batch_pixels=10) as blocked:
            ran: list = []
            small = [asyncio.create_task(batched(blocked.compute, "s", 1, ran)) for _ in range(6)]
            large = [asyncio.create_task(batched(blocked.compute, "l", 2, ran, pixels=5)) for _ in range(3)]
            await turns()
            await blocked.free()
            await asyncio.gather(*small, *large)
            assert sorted(ran) == [["l"], ["l", "l"], ["s", "s", "s"], ["s", "s", "s"]]

    asyncio.run(body())


def test_the_queue_is_bounded_in_pixels_and_one_request_always_may_wait():
    async def body():
        async with Blocked(queue_pixels=100) as blocked:
            large = asyncio.create_task(blocked.compute.run(lambda: 1, timeout_seconds=None, pixels=1000))
            await turns()
            with pytest.raises(OverloadedError, match="1000 pixels"):
                await blocked.compute.run(lambda: None, timeout_seconds=None, pixels=1)
            assert blocked.metrics.registry.get_sample_value("manypath_queue_pixels") == 1000
            await blocked.free()
            await large

    asyncio.run(body())


def test_small_work_has_a_thread_of_its_own():
    async def body():
        async with Blocked(express_pixels=100, blocking_pixels=1000) as blocked:
            computed = await asyncio.wait_for(
                blocked.compute.run(current_lane, timeout_seconds=None, pixels=100), 30
            )  # while the other thread is busy
            assert computed.value == EXPRESS

    asyncio.run(body())


def test_work_that_nobody_waits_for_any_more_ends_at_its_next_look():
    async def body():
        async with Blocked() as blocked:
            await blocked.free()
            looks, ended = threading.Event(), threading.Event()

            def long_work() -> None:
                try:
                    while True:
                        looks.set()
                        check_waited()
                        time.sleep(0.001)
                finally:
                    ended.set()

            caller = asyncio.create_task(blocked.compute.run(long_work, timeout_seconds=None))
            assert await asyncio.to_thread(looks.wait, 30)
            caller.cancel()
            assert await asyncio.to_thread(ended.wait, 30)
            assert blocked.shed("abandoned") == 1
            late = asyncio.create_task(blocked.compute.run(long_work, timeout_seconds=0.05))
            with pytest.raises(AbandonedError):
                await asyncio.wait_for(late, 30)

    asyncio.run(body())


def test_a_stopping_server_answers_what_it_does_not_wait_for():
    async def body():
        async with Blocked() as blocked:
            waits = blocked.submit("waits")
            await turns()
            blocked.compute.abandon()
            with pytest.raises(StoppingError):
                await asyncio.wait_for(waits, 30)
            with pytest.raises(StoppingError):
                await asyncio.wait_for(blocked.blocking, 30)
            assert blocked.ran == []

    asyncio.run(body())
