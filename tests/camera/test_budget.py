"""What a camera spends is never more than its budget, and nearly all of it."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manypath_api.v1 import codec_pb2 as pb
from manypath_camera.budget import ENVELOPE_BYTES, FixedRate, TokenBucket
from manypath_camera.pacing import DelayWindow, LinkPacer, message_bytes, wire_bytes

HOUR = 3600.0


def spend(bucket, seconds, every, *, share=0.97, least=1500, most=200_000, start=0.0):
    """Simulate a camera whose encoder uses a share of what it may; return (time, bytes on the wire) of each frame."""
    spent = []
    steps = int(seconds / every)
    for step in range(steps):
        now = start + step * every
        grant = bucket.grant(now)
        if grant is None:
            continue
        asked = grant.rate.max_bytes
        used = least if asked < least else min(most, int(share * asked))
        bucket.settle(grant, used)
        spent.append((now, wire_bytes(used + ENVELOPE_BYTES)))
    return spent


@pytest.mark.parametrize("every", [0.2, 1.0, 7.0])
@pytest.mark.parametrize("bits_per_second", [16_000, 64_000, 1_000_000])
def test_a_link_s_budget_over_an_hour_is_kept_and_used_by_more_than_nine_tenths(bits_per_second, every):
    bucket = TokenBucket.of_link(bits_per_second, max_delay_seconds=max(2.0, 1.5 * every))
    spent = spend(bucket, HOUR, every, most=10**9)
    allowed = bits_per_second / 8 * HOUR
    total = sum(size for _, size in spent)
    assert 0.9 * allowed <= total <= allowed
    most = bits_per_second / 8 * max(2.0, 1.5 * every)
    assert all(size <= max(most, wire_bytes(1500 + ENVELOPE_BYTES)) for _, size in spent)


@pytest.mark.parametrize("quota", [5_000_000, 200_000_000])
def test_a_day_s_quota_is_never_exceeded_in_any_24_hours_and_used_by_more_than_nine_tenths(quota):
    bucket = TokenBucket.of_day(quota)
    spent = spend(bucket, 60 * HOUR, 20.0, most=10**9)
    for begin in range(0, 37 * 3600, 1800):
        total = sum(size for at, size in spent if begin <= at < begin + 24 * HOUR)
        assert total <= quota
        assert total >= 0.9 * quota


def test_what_a_quiet_night_saves_is_bounded_and_is_there_for_the_morning():
    bucket = TokenBucket.of_day(24_000_000)
    spend(bucket, HOUR, 10.0)
    saved = bucket.grant(20 * HOUR)  # nothing happened for 19 hours
    assert saved is not None
    assert saved.reserved <= 1_000_000
    assert saved.reserved > wire_bytes(50_000)


def test_a_budget_goes_on_after_a_restart_as_if_there_had_been_none():
    first = TokenBucket.of_day(10_000_000)
    spend(first, 2 * HOUR, 5.0)
    second = TokenBucket.of_day(10_000_000)
    second.restore(first.state(), away_seconds=60)
    assert second.left == pytest.approx(first.left + 60 * second.per_second)
    second.restore({}, 0)


def test_a_lowest_quality_beyond_the_budget_is_paid_for_by_waiting():
    bucket = TokenBucket.of_link(8000, max_delay_seconds=4.0)  # a frame may have 4 kB, and needs 9
    spent = spend(bucket, HOUR, 1.0, least=9000)
    assert len(spent) > 100
    assert sum(size for _, size in spent) <= 1000 * HOUR + 10_000
    gaps = [later - earlier for (earlier, _), (later, _) in itertools.pairwise(spent[5:])]
    assert min(gaps) >= 5


@pytest.mark.parametrize("bits_per_second", [500, 5_000, 50_000])
def test_a_link_too_slow_for_any_frame_still_gets_one_now_and_then(bits_per_second):
    bucket = TokenBucket.of_link(bits_per_second, max_delay_seconds=0.05)
    spent = spend(bucket, HOUR, 1.0, least=900)
    assert spent
    assert sum(size for _, size in spent) <= bits_per_second / 8 * HOUR + max(size for _, size in spent)


def test_a_frame_that_was_not_sent_gives_its_bytes_back():
    bucket = TokenBucket.of_day(10_000_000)
    before = bucket.left
    grant = bucket.grant(0.0)
    assert bucket.left == before - grant.reserved
    bucket.settle(grant, None)
    assert bucket.left == before


@pytest.mark.parametrize("bucket", [TokenBucket.of_link(8e6, 2.0, effort=1), TokenBucket.of_day(1e9, effort=1)])
def test_a_bucket_s_frames_are_encoded_with_its_effort(bucket):
    bucket.grant(0.0)
    grant = bucket.grant(1.0)
    assert grant.rate.max_bytes > 0
    assert grant.rate.effort == 1


def test_a_fixed_rate_is_the_same_for_every_frame():
    budget = FixedRate(pb.Rate(quality=3))
    grant = budget.grant(0.0)
    budget.settle(grant, 10**9)
    assert budget.grant(1.0).rate.quality == 3
    assert budget.left is None


@given(st.integers(0, 10**7))
def test_the_largest_message_of_a_wire_budget_fits_and_a_larger_one_does_not(budget):
    size = message_bytes(budget)
    assert size == 0 or wire_bytes(size) <= budget
    assert wire_bytes(size + 1) > budget


def test_a_pacer_sends_at_the_link_s_rate_and_saves_nothing_up():
    pacer = LinkPacer(80_000)
    sent = now = 0.0
    for _ in range(100):
        now += pacer.delay(now)
        pacer.sent(now, 5000)
        sent += wire_bytes(5000)
    assert 8 * sent / (now + pacer.delay(now)) == pytest.approx(80_000)
    assert pacer.delay(now + 1000) == 0
    assert LinkPacer(None).delay(0.0) == 0


def test_a_window_grows_while_acknowledgements_come_soon_and_shrinks_when_they_come_late():
    window = DelayWindow(1000, 10**7)
    assert window.allows(0, 0, 10**9)  # one frame may always go
    assert not window.allows(3, 60_000, 20_000)
    for step in range(20):
        window.acknowledged(step, step - 0.1, 20_000)
    assert window.allows(20, 400_000, 20_000)
    for step in range(30):
        window.acknowledged(100 + 10 * step, 95 + 10 * step, 20_000)
    assert not window.allows(3, 80_000, 20_000)
    assert window.allows(1, 10**6, 20_000)  # two frames: one under way while another is acknowledged
