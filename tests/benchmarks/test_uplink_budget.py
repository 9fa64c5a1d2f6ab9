"""What a run of a budget comes to: frames beside what the budget let them."""

import pytest

from benchmarks.uplink.budget import Spent, judge
from manypath_camera.budget import TokenBucket


def frames(count, size):
    return [Spent(1000.0 + 4 * number, size, 1.0 + number % 3) for number in range(count)]


@pytest.mark.parametrize(("size", "kept"), [(8000, True), (7300, True), (7100, False), (8001, False)])
def test_a_link_is_kept_when_no_more_and_more_than_nine_tenths_of_it_is_spent(size, kept):
    link = TokenBucket.of_link(16_000, 8.0)  # 8,000 bytes come in from frame to frame
    row = judge("link", frames(100, size), link, capacity=16_000, every=4.0, wire=0)
    assert (row.seconds, row.allowed, row.spent) == (400.0, 800_000, 100 * size)
    assert row.is_kept is kept
    assert row.qualities == (1.0, 2.0, 3.0)


def test_a_quota_may_spend_what_was_saved_before_and_is_seen_to_run_ahead():
    quota = TokenBucket.of_day(24_000_000)
    burst = [Spent(0.0, 600_000, 8.0), Spent(1.0, 600_000, 8.0)]
    row = judge("quota", burst, quota, capacity=1_000_000, every=1.0, wire=0)
    assert row.allowed == pytest.approx(1_000_000 + 2 * 23_000_000 / 86_400)
    assert row.highest == pytest.approx(1.2, abs=0.001)
    assert not row.is_kept
