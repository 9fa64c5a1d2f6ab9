"""What the rows of the fire count."""

from __future__ import annotations

from benchmarks.fire.clients import Served


def test_a_rate_is_over_the_time_until_the_last_answer() -> None:
    """More clients answer more after the end of the measurement: counts would make of the same rate a higher peak."""
    few, many = Served(80, 0, 8.0, 100.0), Served(120, 0, 12.0, 900.0)
    assert few.per_second == many.per_second == 10.0
