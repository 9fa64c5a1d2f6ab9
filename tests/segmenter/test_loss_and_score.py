"""The losses and the score on cases that can be worked out by hand."""

import math

import numpy as np
import pytest
import torch

from manypath.errors import ImageError
from manypath_lab.segmenter.confusion import Confusion
from manypath_lab.segmenter.data import VOID
from manypath_lab.segmenter.loss import class_weights, cross_entropy, missing_overlap


def test_mean_iou_sums_intersections_and_unions_over_all_pictures() -> None:
    """Class 0: 3 hits of 5; class 1: 2 of 4; class 2 never occurs. A mean of the pictures' would be another number."""
    confusion = Confusion(3)
    confusion.add(np.array([[0, 0], [1, 1]]), np.array([[0, 0], [0, 1]]))
    confusion.add(np.array([[0, 0], [1, VOID]]), np.array([[0, 1], [1, 2]]))
    np.testing.assert_allclose(confusion.iou(), [3 / 5, 2 / 4, math.nan])
    assert confusion.mean_iou() == pytest.approx((3 / 5 + 2 / 4) / 2)
    assert confusion.accuracy() == pytest.approx(5 / 7)


def test_void_pixels_count_for_nothing_whatever_the_answer() -> None:
    confusion = Confusion(11)
    confusion.add(np.full((2, 2), VOID), np.array([[0, 1], [2, 3]]))
    assert confusion.counts.sum() == 0


def test_masks_of_another_shape_or_with_unknown_classes_are_refused() -> None:
    with pytest.raises(ImageError, match="one shape"):
        Confusion(2).add(np.zeros((2, 2), int), np.zeros((2, 3), int))
    with pytest.raises(ImageError, match=r"must be in 0\.\.1"):
        Confusion(2).add(np.zeros((1, 1), int), np.full((1, 1), 2))


def test_cross_entropy_is_the_weighted_mean_over_known_pixels() -> None:
    logits = torch.zeros(1, 2, 1, 3)
    logits[0, :, 0, 0] = torch.tensor([2.0, 0.0])
    masks = torch.tensor([[[0, 1, VOID]]])
    first, second = math.log1p(math.exp(-2.0)), math.log(2.0)
    loss = cross_entropy(logits, masks, torch.tensor([1.0, 3.0]))
    assert float(loss) == pytest.approx((first + 3 * second) / 4)


def test_no_gradient_comes_from_void_pixels() -> None:
    torch.manual_seed(3)
    masks = torch.tensor([[[0, 1, VOID, 1], [VOID, 0, 1, VOID]]])
    logits = torch.randn(1, 2, 2, 4, requires_grad=True)
    (cross_entropy(logits, masks, torch.ones(2)) + missing_overlap(logits, masks)).backward()
    assert logits.grad is not None
    moved = logits.grad.abs().sum(1) > 0
    torch.testing.assert_close(moved, masks != VOID)


def test_a_batch_without_any_known_pixel_costs_nothing() -> None:
    masks = torch.full((1, 2, 2), VOID)
    logits = torch.randn(1, 11, 2, 2, requires_grad=True)
    loss = cross_entropy(logits, masks, torch.ones(11)) + missing_overlap(logits, masks)
    loss.backward()
    assert float(loss.detach()) == 0.0
    assert torch.isfinite(logits.grad).all()


def test_a_perfect_answer_misses_no_overlap_and_an_opposite_one_all() -> None:
    masks = torch.tensor([[[0, 1], [1, 0]]])
    sure = 40.0 * torch.nn.functional.one_hot(masks, 2).permute(0, 3, 1, 2).float()
    assert float(missing_overlap(sure, masks)) == pytest.approx(0.0, abs=1e-6)
    assert float(missing_overlap(-sure, masks)) == pytest.approx(1.0, abs=1e-6)


def test_rare_classes_weigh_more_and_a_pixel_weighs_one_on_average() -> None:
    mask = np.array([[0] * 9 + [1], [VOID] * 10], dtype=np.uint8)
    weights = class_weights([mask], 2, 0.5).double()
    assert float(weights[1] / weights[0]) == pytest.approx(3.0)
    assert float(0.9 * weights[0] + 0.1 * weights[1]) == pytest.approx(1.0)
