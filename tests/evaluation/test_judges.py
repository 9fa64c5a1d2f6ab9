"""Real networks as judges, on small pictures."""

import numpy as np
import pytest

from manypath.errors import RequestError
from manypath_lab.evaluation.judges.fidelity import SimilarityJudge
from manypath_lab.evaluation.judges.judge import Judge
from manypath_lab.evaluation.judges.perceptual import PerceptualJudge, WassersteinJudge
from manypath_lab.evaluation.judges.registry import NAMES, make_judges
from manypath_lab.evaluation.judges.texture import texture_distance
from manypath_lab.evaluation.judges.top1 import ClassifierJudge
from manypath_lab.evaluation.pictures import Picture, pixel_digest
from manypath_lab.evaluation.sets import Case
from manypath_lab.segmenter.data import CLASSES
from tests.evaluation.conftest import synthetic_picture


def a_case(height: int, width: int, truth: object = None) -> Case:
    pixels = synthetic_picture(height, width, 9)
    return Case(Picture("a", pixels, pixel_digest(pixels)), truth)


def noisy(case: Case, strength: float) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, strength, case.picture.pixels.shape)
    return np.clip(case.picture.pixels + noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("judge", [PerceptualJudge(), PerceptualJudge("lite2"), WassersteinJudge(), SimilarityJudge()])
def test_appearance_gets_worse_with_noise_and_needs_no_whole_strides(judge: Judge) -> None:
    case = a_case(200, 230)
    same, near, far = (
        float(r[0]) for r in judge.examine([case] * 3, [case.picture.pixels, noisy(case, 3), noisy(case, 30)])
    )
    if judge.measures[0].lower:
        assert 0.0 == same < near < far
    else:
        assert same == pytest.approx(1.0)
        assert same > near > far > 0.0


def test_similarity_says_nothing_of_a_small_picture() -> None:
    case = a_case(96, 200)
    (record,) = SimilarityJudge().examine([case], [case.picture.pixels])
    assert np.isnan(record[0])


def test_a_classifier_answers_pictures_of_different_size_in_order() -> None:
    sizes = [(64, 64), (80, 64), (64, 64)]
    judge = ClassifierJudge("lite0")
    answers = [judge._answers([synthetic_picture(*size, 9)])[0] for size in sizes]
    cases = [a_case(*size, np.int32(answer)) for size, answer in zip(sizes, answers, strict=True)]
    right = judge.examine(cases, [case.picture.pixels for case in cases])
    assert [list(record) for record in right] == [[1.0, 1.0, 1.0, 1.0]] * 3
    others = [case._replace(truth=np.int32(-1)) for case in cases]
    wrong = judge.examine(others, [case.picture.pixels for case in cases])
    assert [list(record) for record in wrong] == [[0.0, 1.0, 1.0, 1.0]] * 3
    assert judge.question(cases[0]) != judge.question(others[0])


def test_a_segmenter_agrees_with_itself_on_the_original_and_counts_every_known_pixel() -> None:
    (judge,) = make_judges(["segmenter"])
    mask = np.zeros((64, 96), np.uint8)
    mask[:, :32] = 255  # void
    case = a_case(64, 96, mask)
    same, other = judge.examine([case, case], [case.picture.pixels, noisy(case, 60)])
    for record in (same, other):
        assert record[: len(CLASSES) ** 2].sum() == 64 * 64
        assert record[-1] == 64 * 96
    assert same[-2] == 64 * 96
    assert other[-2] < 64 * 96


def test_judges_are_made_by_name_and_told_apart_by_version() -> None:
    names = ["psnr", "ms-ssim", "perceptual", "perceptual-lite2", "wasserstein-lite2", "lite0"]
    judges = make_judges(names)
    assert [judge.name for judge in judges] == names
    assert len({judge.version for judge in judges}) == len(names)


def test_texture_is_blind_to_where_a_grain_lies_and_sees_blur() -> None:
    random = np.random.default_rng(2)
    grain, other = (
        np.clip(128 + random.normal(0, 30, (64, 96, 1)).repeat(3, -1), 0, 255).astype(np.uint8) for _ in "ab"
    )
    flat = np.full_like(grain, 128)
    halved = (128 + (grain.astype(float) - 128) / 2).astype(np.uint8)
    assert texture_distance(grain, grain) == 0.0
    assert texture_distance(grain, other) < 0.35  # another grain of the same strength, patch by patch
    assert texture_distance(grain, halved) == pytest.approx(1.0, abs=0.1)
    assert texture_distance(grain, flat) > 3.0
    assert texture_distance(grain[:4], flat[:4]) is None


@pytest.mark.parametrize("name", ["vgg", "lite0=file", "segmenter="])
def test_the_judges_are_named_where_another_is_asked_for(name: str) -> None:
    with pytest.raises(RequestError, match=rf"{NAMES[0]}.*segmenter\[=FILE\].*got '{name}'"):
        make_judges([name])
