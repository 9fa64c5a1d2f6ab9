"""A set of sequence numbers behaves as a set, whatever order they come in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manypath_camera.errors import SequenceError
from manypath_camera.sequences import MAX_RANGES, SequenceSet

numbers = st.lists(st.tuples(st.booleans(), st.integers(1, 60)), max_size=80)


@given(numbers)
def test_it_holds_what_a_plain_set_would_hold(steps):
    plain: set[int] = set()
    ours = SequenceSet()
    for settles, number in steps:
        if settles:
            ours.settle(number)
            plain |= set(range(1, number + 1))
        else:
            assert ours.add(number) == (number not in plain)
            plain.add(number)
    assert {number for number in range(1, 70) if number in ours} == plain
    assert ours.contiguous == next(number for number in range(70) if number + 1 not in plain)
    assert [number for first, last in ours.above for number in range(first, last + 1)] == sorted(
        number for number in plain if number > ours.contiguous
    )


@given(numbers)
def test_it_is_read_back_as_it_was_written(steps):
    ours = SequenceSet()
    for _, number in steps:
        ours.add(number)
    again = SequenceSet.loads(ours.dumps())
    assert (again.contiguous, again.above) == (ours.contiguous, ours.above)


@pytest.mark.parametrize("text", ["", "x", "3;5", "3;9-5", "-1;", "3;5-7-9", "9999999999999999999999;"])
def test_what_is_no_set_is_refused_by_name(text):
    with pytest.raises(SequenceError):
        SequenceSet.loads(text)


def test_a_sender_with_too_many_holes_is_refused():
    ours = SequenceSet(0, ((2 * index, 2 * index) for index in range(1, MAX_RANGES + 1)))
    with pytest.raises(SequenceError, match="holes"):
        ours.add(2 * MAX_RANGES + 10)
    assert ours.add(3)
