"""What is held of requests: few messages at once, the newest caller first, slow ones thinned out in need."""

from __future__ import annotations

import asyncio

import pytest

from manypath_services.common import intake
from manypath_services.common.errors import ExpiredError, OverloadedError
from manypath_services.common.intake import FAST_PLACES, Intake
from manypath_services.common.metrics import ServiceMetrics


def shed(metrics: ServiceMetrics, reason: str) -> float:
    return metrics.registry.get_sample_value("manypath_requests_shed_total", {"reason": reason})


class Sender:
    """A message on its way, for as long as the test wants."""

    def __init__(self, place: Intake, connection: str) -> None:
        self.here, self.done = asyncio.Event(), asyncio.Event()
        self.task = asyncio.create_task(self._send(place, connection))

    async def _send(self, place: Intake, connection: str) -> None:
        async with place.arriving(connection):
            self.here.set()
            await self.done.wait()


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_few_messages_arrive_at_once_and_the_newest_caller_is_next():
    async def body():
        metrics = ServiceMetrics("test", "0")
        place = Intake(metrics, held_bytes=100)
        senders = [Sender(place, "a") for _ in range(FAST_PLACES + 2)]
        await turns()
        assert [one.here.is_set() for one in senders] == [True] * FAST_PLACES + [False, False]
        senders[0].done.set()
        await asyncio.wait_for(senders[-1].here.wait(), 30)
        assert not senders[-2].here.is_set() or senders[0].task.done()
        for one in senders:
            one.done.set()
        await asyncio.gather(*(one.task for one in senders))

    asyncio.run(body())


def test_a_slow_message_leaves_its_place_to_others(monkeypatch):
    monkeypatch.setattr(intake, "_FAST_SECONDS", 0.01)

    async def body():
        place = Intake(ServiceMetrics("test", "0"), held_bytes=100)
        senders = [Sender(place, "a") for _ in range(3 * FAST_PLACES)]
        for one in senders:  # all of them get in, though none has finished
            await asyncio.wait_for(one.here.wait(), 30)
            one.done.set()
        await asyncio.gather(*(one.task for one in senders))

    asyncio.run(body())


def test_in_need_of_memory_the_connection_with_most_slow_messages_loses_its_oldest(monkeypatch):
    monkeypatch.setattr(intake, "_FAST_SECONDS", 0.01)
    monkeypatch.setattr(intake, "_SLOW_PLACES_IN_NEED", 2)

    async def body():
        metrics = ServiceMetrics("test", "0")
        place = Intake(metrics, held_bytes=100, growth_bytes=-(2**40))  # always in need
        lone = Sender(place, "lone")
        await lone.here.wait()
        greedy = [Sender(place, "greedy") for _ in range(3)]
        with pytest.raises(OverloadedError, match="slow messages"):
            await asyncio.wait_for(greedy[0].task, 30)
        assert not lone.task.done()
        assert shed(metrics, "body_bytes") >= 1
        for one in (lone, *greedy):
            one.done.set()
        await asyncio.gather(*(one.task for one in (lone, *greedy)), return_exceptions=True)

    asyncio.run(body())


def test_a_message_that_never_comes_ends_its_call_by_name():
    async def body():
        metrics = ServiceMetrics("test", "0")
        place = Intake(metrics, held_bytes=100, body_seconds=0.05)
        with pytest.raises(ExpiredError, match=r"did not arrive within 0\.05 s"):
            await asyncio.wait_for(Sender(place, "a").task, 30)
        assert shed(metrics, "body_slow") == 1

    asyncio.run(body())


def test_bytes_are_held_up_to_a_budget_and_given_back():
    metrics = ServiceMetrics("test", "0")

    async def body():
        place = Intake(metrics, held_bytes=100)
        with place.held(60):
            assert metrics.registry.get_sample_value("manypath_held_bytes") == 60
            with pytest.raises(OverloadedError, match="60 bytes"), place.held(41):
                pass
            with place.held(40):
                pass
        with place.held(1000):  # one alone always fits: the message limit bounds it
            pass
        assert metrics.registry.get_sample_value("manypath_held_bytes") == 0

    asyncio.run(body())
