"""Agreement of boxes: pairs, F1 and average precision, by cases that can be counted by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from manypath_lab.detector.agreement import average_precision, count, f1, match, overlaps
from manypath_lab.detector.boxes import Boxes


def boxes(*rows: tuple[float, float, float, float, float, int]) -> Boxes:
    """Rows of left, top, right, bottom, score, class, best first."""
    array = np.asarray(rows, np.float64).reshape(-1, 6)
    return Boxes(array[:, :4].astype(np.float32), array[:, 4].astype(np.float32), array[:, 5].astype(np.int32))


@st.composite
def predicted(draw: st.DrawFn) -> Boxes:
    rows = []
    for _ in range(draw(st.integers(0, 8))):
        left, top = draw(st.integers(0, 90)), draw(st.integers(0, 90))
        width, height = draw(st.integers(1, 60)), draw(st.integers(1, 60))
        score = draw(st.floats(0.05, 1.0))
        rows.append((left, top, left + width, top + height, score, draw(st.integers(0, 2))))
    return boxes(*sorted(rows, key=lambda row: -row[4]))


def test_intersection_over_union_of_shifted_squares() -> None:
    a = boxes((0, 0, 10, 10, 0.9, 0))
    b = boxes((5, 0, 15, 10, 0.9, 0), (20, 20, 30, 30, 0.8, 0), (3, 3, 3, 9, 0.7, 0))
    np.testing.assert_allclose(overlaps(a, b), [[50 / 150, 0.0, 0.0]])


def test_a_pair_needs_the_class_and_the_overlap_and_takes_the_best_that_is_free() -> None:
    target = boxes((0, 0, 10, 10, 0.9, 0), (0, 0, 10, 9, 0.8, 0), (50, 50, 60, 60, 0.7, 1))
    seen = boxes((0, 0, 10, 9, 0.9, 0), (0, 0, 10, 10, 0.8, 0), (50, 50, 60, 60, 0.7, 0), (0, 0, 10, 10, 0.6, 0))
    assert match(seen, target).tolist() == [1, 0, -1, -1]


def test_counts_of_large_and_small_boxes() -> None:
    target = boxes((0, 0, 100, 100, 0.9, 0), (200, 0, 220, 20, 0.8, 0), (300, 0, 320, 20, 0.7, 0), (0, 0, 9, 9, 0.2, 0))
    seen = boxes(
        (0, 0, 100, 95, 0.9, 0), (201, 0, 220, 20, 0.6, 0), (400, 0, 410, 10, 0.5, 0), (300, 0, 320, 20, 0.29, 0)
    )
    assert count(seen, target) == (2, 1, 1)
    assert count(seen, target, small_only=True) == (1, 1, 1)
    assert float(f1(np.array([2.0, 1.0, 1.0]))) == pytest.approx(2 / 3)


def test_pictures_in_which_nothing_is_found_agree() -> None:
    assert count(boxes(), boxes()) == (0, 0, 0)
    assert float(f1(np.zeros(3))) == 1.0


@given(predicted(), predicted())
def test_counts_add_up_and_do_not_depend_on_who_is_who(a: Boxes, b: Boxes) -> None:
    there, back = count(a, b), count(b, a)
    assert there.both + there.missed == int((b.scores > 0.3).sum())
    assert there.both + there.extra == int((a.scores > 0.3).sum())
    assert abs(there.both - back.both) <= min(len(a.scores), len(b.scores))
    assert count(a, a) == (int((a.scores > 0.3).sum()), 0, 0)


def precision(hits: list[int], extra: list[int], target: int) -> float:
    return float(average_precision(np.array(hits, float), np.array(hits, float) + extra, np.array(float(target))))


def test_average_precision_by_hand() -> None:
    """Two of three are found, one false box between them: precision 1 up to a third, 2/3 up to two thirds, then 0."""
    assert precision([1, 0, 1], [0, 1, 0], 3) == pytest.approx((34 * 1.0 + 33 * 2 / 3) / 101)
    assert precision([1, 1], [0, 0], 2) == 1.0
    assert precision([0, 0], [0, 0], 2) == 0.0
    assert precision([0, 0], [3, 0], 0) == 1.0


@given(st.lists(st.integers(0, 5), min_size=1, max_size=9), st.integers(0, 5))
def test_average_precision_is_whole_when_all_is_found_and_falls_with_what_is_lost(hits: list[int], lost: int) -> None:
    total = sum(hits)
    none = [0] * len(hits)
    assert precision(hits, none, total) == 1.0
    if total:
        assert precision(hits, none, total + lost) == pytest.approx((100 * total // (total + lost) + 1) / 101)


def test_average_precision_of_sums_is_that_of_the_sums_alone() -> None:
    hits, boxes = np.array([[2.0, 1.0], [0.0, 1.0]]), np.array([[2.0, 2.0], [3.0, 3.0]])
    both = average_precision(hits, boxes, np.array([4.0, 2.0]))
    for row in range(2):
        assert both[row] == average_precision(hits[row], boxes[row], np.array([4.0, 2.0])[row])
