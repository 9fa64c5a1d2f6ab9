"""The scale-out benchmark's arithmetic and its table; that it runs is for whoever runs it."""

from __future__ import annotations

import argparse

import pytest

from benchmarks.scale import Row, cost, table


def test_a_line_through_times_says_what_a_picture_and_a_pixel_cost() -> None:
    line = cost([(1_000_000, 0.35), (2_000_000, 0.65), (4_000_000, 1.25)])
    assert line == pytest.approx((0.05, 0.3))
    assert line.of(3_000_000) == pytest.approx(0.95)


def test_there_is_one_table_and_what_was_calculated_says_so() -> None:
    args = argparse.Namespace(callers=8, side=256)
    rows = [Row("steady", 1, 10.0, 0.1, 0.2, 0), Row("replicas come and go", 2, 9.0, 0.1, 0.4, 0, 6)]
    text = table(args, rows, [(1_000_000, 0.5), (2_000_000, 1.0)])
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in lines}) == 1
    assert "| steady, 1 replica | 10.00 | 0.100 s | 0.200 s | 0 | 0 |" in lines
    assert [line.split("|")[2].strip() for line in lines if "by calculation" in line] == ["7.7", "61.7"]
