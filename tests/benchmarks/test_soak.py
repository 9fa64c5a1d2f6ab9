"""What the soak counts as kept."""

from __future__ import annotations

import os

from benchmarks.soak import State, grown, state


def test_growth_beyond_what_allocators_keep_is_named() -> None:
    warm = State(300.0, 20, 10)
    assert grown(warm, State(340.0, 30, 12)) == ""
    assert grown(warm, State(200.0, 20, 10)) == ""
    assert grown(warm, State(400.0, 60, 10)) == "100 MiB and 40 descriptors"


def test_a_process_tells_its_descriptors_by_the_kernel() -> None:
    before = state(os.getpid())
    reading, writing = os.pipe()
    try:
        assert state(os.getpid()).descriptors == before.descriptors + 2
    finally:
        os.close(reading)
        os.close(writing)
