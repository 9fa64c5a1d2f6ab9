import math

import numpy as np
import pytest

from manypath_lab.evaluation.codecs.codec import Line
from manypath_lab.evaluation.equal_accuracy import draw_weights, equal_accuracy, falling, gains, rate_at
from manypath_lab.evaluation.judges.fidelity import PsnrJudge
from manypath_lab.evaluation.judges.judge import Measure, share
from manypath_lab.evaluation.judges.miou import mean_iou
from manypath_lab.evaluation.run import Track
from manypath_lab.evaluation.score import Score

TOP1 = Measure("top1", "top-1 (%)", slice(0, 2), share, drops=(2.0,))


def isotonic_by_hand(losses: list[float]) -> list[float]:
    """Pool neighbours that rise, the textbook way."""
    blocks: list[list[float]] = []
    for loss in losses:
        blocks.append([loss])
        while len(blocks) > 1 and np.mean(blocks[-2]) < np.mean(blocks[-1]):
            blocks[-2:] = [blocks[-2] + blocks[-1]]
    return [float(np.mean(block)) for block in blocks for _ in block]


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ([9, 5, 2, 1], [9, 5, 2, 1]),
        ([9, 2, 4, 1], [9, 3, 3, 1]),
        ([1, 2, 3], [2, 2, 2]),
        ([5], [5]),
    ],
)
def test_losses_that_rise_are_pooled(losses: list[float], expected: list[float]) -> None:
    assert falling(np.asarray(losses, dtype=float)).tolist() == pytest.approx(expected)


def test_pooling_many_curves_at_once_is_pooling_each() -> None:
    losses = np.random.default_rng(3).normal(size=(40, 9))
    assert falling(losses) == pytest.approx(np.asarray([isotonic_by_hand(list(one)) for one in losses]))


def test_a_rate_is_read_between_settings_on_its_logarithm() -> None:
    rate, end = rate_at(np.asarray([0.1, 0.4, 1.6]), np.asarray([6.0, 4.0, 0.0]), 2.0)
    assert rate == pytest.approx(0.8)
    assert end == 0


def test_a_loss_hit_exactly_at_a_setting_is_that_setting() -> None:
    rate, end = rate_at(np.asarray([0.1, 0.4, 1.6]), np.asarray([6.0, 2.0, 2.0]), 2.0)
    assert (float(rate), int(end)) == (pytest.approx(0.4), 0)


@pytest.mark.parametrize(("target", "bpp", "side"), [(7.0, 0.1, -1), (-1.0, 1.6, 1)])
def test_a_loss_outside_the_range_is_its_end_and_says_so(target: float, bpp: float, side: int) -> None:
    rate, end = rate_at(np.asarray([0.1, 0.4, 1.6]), np.asarray([6.0, 4.0, 0.0]), target)
    assert (float(rate), int(end)) == (pytest.approx(bpp), side)


def hits(*settings: list[int]) -> np.ndarray:
    """Return [P, K, (hit, 1)] from one list of hits per setting."""
    found = np.asarray(settings, dtype=float).T
    return np.stack([found, np.ones_like(found)], -1)


def a_score(pictures: int, *lines: np.ndarray) -> Score:
    return Score(PsnrJudge(), TOP1, np.ones((pictures, 2)), lines)  # whoever judged


def tracks(*rates: np.ndarray) -> list[Track]:
    """Return one track per float64 [P, K]."""
    return [
        Track(Line(name, name, "1", path), tuple(range(own.shape[1])), own, ())
        for own, name, path in zip(rates, ("ours", "jpeg", "avif"), ("mse", "", ""), strict=False)
    ]


def first(count: int, of: int) -> list[int]:
    return [1] * count + [0] * (of - count)


def test_a_codec_that_needs_half_the_bits_for_the_same_answers_has_the_ratio_one_half_in_every_draw() -> None:
    answers = hits(first(80, 100), first(96, 100), first(100, 100))
    rates = np.tile([0.2, 0.4, 0.8], (100, 1)) * np.linspace(0.5, 1.5, 100)[:, None]
    found = equal_accuracy(a_score(100, answers, answers), tracks(rates / 2, rates), [(0, 1)], (2.0, 10.0), draws=50)
    assert [(ratio.line, ratio.anchor, ratio.target) for ratio in found.ratios] == [
        ("ours", "jpeg", 2.0),
        ("ours", "jpeg", 10.0),
    ]
    for ratio in found.ratios:
        assert (ratio.value, ratio.low, ratio.high) == (pytest.approx(0.5),) * 3
        assert ratio.bound == "="
    assert found.readings[1][0].bpp == pytest.approx(0.4 * math.sqrt(2.0))
    assert found.readings[1][1].bpp == pytest.approx(0.2 * 2 ** (10 / 16))


def test_the_interval_holds_the_estimate_and_shrinks_with_more_pictures() -> None:
    widths = []
    for pictures in (50, 800):
        random = np.random.default_rng(1)
        chance = np.asarray([0.8, 0.9, 0.97, 0.99])
        answers = (random.random((pictures, 1)) < chance).astype(float)  # better settings keep what worse ones hit
        rates = np.tile([0.1, 0.2, 0.4, 0.8], (pictures, 1))
        line = np.stack([answers, np.ones_like(answers)], -1)
        (reading,) = equal_accuracy(a_score(pictures, line), tracks(rates), [], (5.0,), draws=400).readings[0]
        assert reading.low <= reading.bpp <= reading.high
        widths.append(math.log(reading.high / reading.low))
    assert widths[1] < widths[0] / 2


def test_a_ratio_with_one_rate_outside_its_range_is_a_bound() -> None:
    never = hits(first(50, 100), first(60, 100))
    always = hits(first(99, 100), first(100, 100))
    middle = hits(first(90, 100), first(100, 100))
    rates = np.tile([0.2, 0.4], (100, 1))
    score = a_score(100, always, never, middle)
    found = equal_accuracy(score, tracks(rates, rates, rates), [(0, 1), (0, 2)], (2.0,), draws=20)
    assert [ratio.bound for ratio in found.ratios] == ["<=", "<="]
    assert [reading[0].end for reading in found.readings] == [-1, 1, 0]
    reverse = equal_accuracy(a_score(100, never, never), tracks(rates, rates), [(0, 1)], (2.0,), draws=20)
    assert (reverse.ratios[0].value, reverse.ratios[0].bound) == (None, "?")


def test_draws_take_as_many_pictures_as_there_are_and_repeat_with_their_seed() -> None:
    weights = draw_weights(30, 8, seed=4)
    assert (weights.sum(1) == 30).all()
    assert (weights == draw_weights(30, 8, seed=4)).all()
    assert (weights != draw_weights(30, 8, seed=5)).any()


def test_a_gain_over_the_main_path_is_paired() -> None:
    """Each picture that the side loses the main loses too: the difference has no spread from the pictures' luck."""
    main, side = hits(first(60, 100)), hits(first(70, 100))
    track = Track(Line("side", "Side", "1", "side"), (1.0,), np.full((100, 1), 0.3), ())
    (gain,) = gains(a_score(100, main, side), 0, 1, track, draws=500)
    assert gain.points == pytest.approx(10.0)
    assert 3.0 < gain.low < 10.0 < gain.high < 17.0


def test_mean_iou_sums_over_pictures_before_it_divides() -> None:
    one, other = np.asarray([8.0, 0.0, 0.0, 0.0]), np.asarray([0.0, 2.0, 0.0, 2.0])  # truth by answer
    assert mean_iou(one) == pytest.approx(100.0)  # the class that nobody saw is left out
    assert mean_iou(one + other) == pytest.approx(100 * (8 / 10 + 2 / 4) / 2)
    assert mean_iou(np.stack([one, other])) == pytest.approx([100.0, 25.0])
