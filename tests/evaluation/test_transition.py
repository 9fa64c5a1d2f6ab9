import csv
import io
import json

import numpy as np
import pytest

from manypath_lab.evaluation.judges.fidelity import PsnrJudge
from manypath_lab.evaluation.judges.judge import Measure, share
from manypath_lab.evaluation.score import Score
from manypath_lab.evaluation.transition import draw, smoothness, to_csv, to_json, to_markdown, transitions

SHARES = [0.0, 0.25, 0.5, 0.75, 1.0]


def test_an_even_rise_is_monotone_and_its_largest_step_is_its_share_of_the_whole() -> None:
    found = smoothness(SHARES, [1.0, 2.0, 3.0, 4.0, 5.0])
    assert found.monotone
    assert (found.change, found.step_back, found.jump, found.jump_share) == (4.0, 0.0, 1.0, 0.25)


def test_a_fall_is_judged_in_its_own_direction() -> None:
    found = smoothness(SHARES, [5.0, 4.5, 4.7, 1.0, 0.0])
    assert not found.monotone
    assert found.step_back == pytest.approx(0.2)
    assert (found.jump, found.jump_at) == (pytest.approx(3.7), 0.75)
    assert found.jump_share == pytest.approx(0.74)


def test_a_step_back_within_the_noise_of_the_pictures_is_not_real() -> None:
    values = [1.0, 2.0, 1.9, 4.0, 5.0]
    noise = np.random.default_rng(0).normal(0, 0.3, (400, 5))
    assert smoothness(SHARES, values, np.asarray(values) + noise).real_step_back == 0.0
    assert smoothness(SHARES, values, np.asarray(values) + noise / 100).real_step_back == pytest.approx(0.1)
    assert smoothness(SHARES, values).real_step_back == pytest.approx(0.1)


def test_a_curve_that_goes_nowhere_has_no_share_of_its_change() -> None:
    assert smoothness(SHARES, [2.0] * 5).jump_share == 0.0
    assert smoothness(SHARES, [2.0, 3.0, 2.0, 2.0, 2.0]).jump_share == float("inf")


def test_transitions_are_told_per_quality_and_metric_as_table_lines_and_chart() -> None:
    """Ten pictures, two qualities: at quality 1 the hits grow with the share, at quality 2 all are hits anyway."""
    pictures = 10
    lines = []
    for number in range(len(SHARES)):
        hits = np.ones((pictures, 2))
        hits[number + 1 :, 0] = 0.0
        lines.append(np.stack([hits, np.ones_like(hits)], -1))
    judge = PsnrJudge()  # whoever judged
    scores = [
        Score(judge, Measure("top1", "top-1", slice(0, 2), share), np.ones((pictures, 2)), tuple(lines)),
        Score(judge, PsnrJudge.measures[0], np.ones((pictures, 2)), tuple(line * (30.0, 1.0) for line in lines)),
    ]
    found = transitions("ten", "classification", SHARES, scores, [(1.0, 0.1), (2.0, 0.2)])
    assert [(one.quality, one.measure) for one in found] == [(1.0, "top1"), (1.0, "psnr"), (2.0, "top1"), (2.0, "psnr")]
    assert found[0].values == pytest.approx([10.0, 20.0, 30.0, 40.0, 50.0])
    assert found[2].values == pytest.approx([100.0] * 5)
    rows = list(csv.DictReader(io.StringIO(to_csv(found))))
    assert len(rows) == 4 * len(SHARES)
    assert json.loads(to_json(found))[0]["smoothness"]["jump_share"] == pytest.approx(0.25)
    assert found[1].values == pytest.approx([3.0, 6.0, 9.0, 12.0, 15.0])
    assert "| ten | classification | 1 | top-1 | 10 | 50 | yes | 0 | 10 at" in to_markdown(found, "model")
    assert len(draw(found).axes) == 2
