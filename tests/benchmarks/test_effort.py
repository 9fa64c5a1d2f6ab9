"""The table of efforts compares each with plain rounding, at equal PSNR."""

from benchmarks import effort
from benchmarks.picture import photo_like
from manypath.codec import Codec, Rate


def test_each_effort_has_a_row_and_the_first_is_its_own_measure() -> None:
    rows = effort.measure(Codec.load("edge"), [photo_like(64, 64, 0)], [1.0, 3.0, 5.0, 7.0])
    assert [row.effort for row in rows] == list(range(Rate.MOST_EFFORT + 1))
    assert (rows[0].bd_rate, rows[0].bits, rows[0].decibels) == (0.0, 0.0, 0.0)
    assert all(row.bd_rate < 0 and row.milliseconds > 0 for row in rows[1:])
