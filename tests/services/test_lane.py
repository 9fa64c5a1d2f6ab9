"""Who is served next, and who is refused: short work first, callers in turn, and places by what each has."""

from __future__ import annotations

import time

import pytest

from manypath_services.common.errors import ExpiredError, OverloadedError
from manypath_services.common.lane import Batch, Job, Lane


def measured(lane: Lane, seconds_per_pixel: float) -> Lane:
    """A lane that knows how long a pixel takes."""
    job = Job(lambda items: items, None, pixels=2**20, key=None, deadline=None)
    lane.measured(Batch([job]), seconds_per_pixel * job.cost)
    return lane


def job(pixels: int, *, arrived: float | None = None, deadline: float | None = None, caller: str = "") -> Job:
    made = Job(lambda items: items, None, pixels=pixels, key=None, deadline=deadline, caller=caller)
    if arrived is not None:
        made.arrived = arrived
    return made


def order(lane: Lane) -> list[int]:
    taken = []
    while (batch := lane.take(most=1, pixels=1)[0]) is not None:
        taken.append(batch.jobs[0].pixels)
    return taken


def test_short_work_passes_long_work_but_not_for_ever():
    lane = measured(Lane(limit=100, pixels=10**9, pushback_seconds=0.1), 1e-6)
    lane.add(job(10_000_000, arrived=100.0))  # 10 s of work
    for seconds in range(0, 20, 2):
        lane.add(job(1000 + seconds, arrived=100.0 + seconds))
    taken = order(lane)
    assert taken.index(10_000_000) == 5  # passed by what came while it would have been computed
    assert taken[:5] == [1000, 1002, 1004, 1006, 1008]


def test_what_cannot_be_ready_in_time_is_refused_at_once():
    lane = measured(Lane(limit=100, pixels=10**9, pushback_seconds=0.1), 1e-6)
    with pytest.raises(ExpiredError, match=r"takes about 10\.0 s"):
        lane.add(job(10_000_000, deadline=time.monotonic() + 1))
    lane.add(job(10_000_000))
    with pytest.raises(OverloadedError, match="are waiting"):
        lane.add(job(20_000_000, deadline=time.monotonic() + 12))
    lane.add(job(1000, deadline=time.monotonic() + 1))  # short work passes


def test_an_estimate_that_was_wrong_does_not_refuse_for_ever():
    lane = measured(Lane(limit=100, pixels=10**9, pushback_seconds=0.1), 1e-3)
    for _ in range(500):
        try:
            lane.add(job(1_000_000, deadline=time.monotonic() + 1))
            break
        except ExpiredError:
            continue
    else:
        raise AssertionError("it refuses for ever")


def test_callers_share_the_time_and_not_the_number_of_their_requests():
    lane = measured(Lane(limit=100, pixels=10**9, pushback_seconds=0.1), 1e-6)
    for _ in range(8):
        lane.add(job(1_000_000, caller="large"))
    for _ in range(8):
        lane.add(job(250_000, caller="small"))
    taken = order(lane)
    # four of the small ones cost as much as a large one, and a bit more: each request costs something of itself
    assert 3 <= taken[: taken.index(1_000_000, taken.index(1_000_000) + 1)].count(250_000) <= 4
    assert taken[-5:] == [1_000_000] * 5


def test_who_comes_back_from_a_pause_has_saved_nothing_up():
    lane = measured(Lane(limit=100, pixels=10**9, pushback_seconds=0.1), 1e-6)
    for number in range(6):
        lane.add(job(1000 + number, caller="steady"))
    assert [lane.take(most=1, pixels=1)[0].jobs[0].pixels for _ in range(3)] == [1000, 1001, 1002]
    for number in range(4):
        lane.add(job(2000 + number, caller="late"))
    assert order(lane) == [2000, 1003, 2001, 1004, 2002, 1005, 2003]


def test_a_batch_takes_from_each_caller_in_turn():
    lane = measured(Lane(limit=100, pixels=10**9, pushback_seconds=0.1), 1e-6)
    one = job(1000).work
    for number, caller in ((10, "flood"), (1, "few")):
        for _ in range(number):
            made = job(1000, caller=caller)
            made.work, made.key = one, "same"
            lane.add(made)
    batch, _ = lane.take(most=4, pixels=10**9)
    assert sorted(one.caller for one in batch.jobs) == ["few", "flood", "flood", "flood"]


def test_a_full_queue_gives_the_places_of_who_has_most_to_who_has_less():
    lane = measured(Lane(limit=4, pixels=10_000, pushback_seconds=0.1), 1e-9)
    flood = [job(1000, caller="flood") for _ in range(4)]
    assert [lane.add(one) for one in flood] == [[]] * 4
    assert [[other for other, _ in lane.add(job(1000, caller="few"))] for _ in range(2)] == [[flood[3]], [flood[2]]]
    for caller in ("few", "flood"):  # two each: nobody has more than the other
        with pytest.raises(OverloadedError):
            lane.add(job(1000, caller=caller))
    assert (lane.waiting, lane.waiting_pixels) == (4, 4000)
    by_pixels = measured(Lane(limit=9, pixels=5000, pushback_seconds=0.1), 1e-9)
    first, second = job(2000, caller="a"), job(2500, caller="a")
    by_pixels.add(first)
    by_pixels.add(second)
    with pytest.raises(OverloadedError, match="pixels"):
        by_pixels.add(job(2000, caller="a"))
    assert [other for other, _ in by_pixels.add(job(2000, caller="b"))] == [second]
    with pytest.raises(OverloadedError, match="pixels"):
        by_pixels.add(job(1500, caller="c"))  # nobody's only one goes
    assert (by_pixels.waiting, by_pixels.waiting_pixels) == (2, 4000)


def test_each_refused_caller_gets_a_time_of_its_own():
    lane = measured(Lane(limit=1, pixels=10**9, pushback_seconds=0.01), 1e-6)
    lane.add(job(100_000))
    pushbacks = []
    for _ in range(20):
        with pytest.raises(OverloadedError) as refused:
            lane.add(job(100_000))
        pushbacks.append(refused.value.pushback_seconds)
    assert max(pushbacks) > 5 * min(pushbacks)  # 0.1 s of service each
    assert max(pushbacks) < 10 * 1.2
