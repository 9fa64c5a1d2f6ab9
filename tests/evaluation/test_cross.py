"""Cross table and networks: real judges on small pictures."""

import pathlib

import numpy as np
import pytest

from manypath.errors import RequestError
from manypath_lab.evaluation.appearance import PerceptualJudge, SimilarityJudge
from manypath_lab.evaluation.classifiers import NETWORKS, ClassifierJudge
from manypath_lab.evaluation.cross import Column, to_csv, to_markdown
from manypath_lab.evaluation.pictures import Picture, pixel_digest
from manypath_lab.evaluation.tasks import Case
from tests.evaluation.conftest import synthetic_picture
from tests.evaluation.test_cli import run_command


def a_case(height: int, width: int) -> Case:
    pixels = synthetic_picture(height, width, 9)
    return Case(Picture("a", pixels, pixel_digest(pixels)), np.zeros((), dtype=np.int32))


def noisy(case: Case, strength: float) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, strength, case.picture.pixels.shape)
    return np.clip(case.picture.pixels + noise, 0, 255).astype(np.uint8)


def test_the_best_path_of_a_quality_is_bold_and_smaller_distances_are_better() -> None:
    rows = [("perceptual", 1.0), ("mse", 1.0)]
    table = [
        Column("kodak", "bpp", "bpp", None, dict(zip(rows, (0.1, 0.1), strict=True))),
        Column("kodak", "perceptual", "perceptual distance", None, dict(zip(rows, (1.0, 2.0), strict=True))),
        Column("kodak", "psnr", "PSNR (dB)", None, dict(zip(rows, (27.0, 28.0), strict=True))),
        Column("photos", "top1", "top-1", 82.5, dict(zip(rows, (70.0, 60.0), strict=True))),
    ]
    text = to_markdown(table, "model", ["24 pictures of `kodak`"])
    assert "| 1 | perceptual | 0.100 | **1.0000** | 27.00 | **70.0** |" in text
    assert "| 1 | mse | 0.100 | 2.0000 | **28.00** | 60.0 |" in text
    assert "photos: top-1 (originals 82.5)" in text
    assert "photos,top1,mse,1,60.000000,82.500000" in to_csv(table)


def test_appearance_gets_worse_with_noise_and_needs_no_whole_strides() -> None:
    case = a_case(200, 230)
    images = [noisy(case, strength) for strength in (3, 30)]
    near, far = (int(record[0]) for record in PerceptualJudge().examine([case, case], images))
    assert 0 < near < far
    alike, unlike = (int(record[0]) for record in SimilarityJudge().examine([case, case], images))
    assert 1_000_000 > alike > unlike > 0
    assert PerceptualJudge().examine([case], [case.picture.pixels])[0][0] == 0


def test_a_classifier_answers_pictures_of_different_size_in_order() -> None:
    cases = [a_case(64, 64), a_case(80, 64), a_case(64, 64)]
    judge = ClassifierJudge("lite0")
    together = judge.examine(cases, [case.picture.pixels for case in cases])
    alone = [judge.examine([case], [case.picture.pixels])[0] for case in cases]
    assert [list(record) for record in together] == [list(record) for record in alone]
    assert all(len(set(record)) == 5 for record in together)


def test_the_networks_are_named_where_another_is_asked_for() -> None:
    assert list(NETWORKS) == ["lite0", "lite1", "lite2"]
    with pytest.raises(RequestError, match="lite0, lite1, lite2; got 'vgg'"):
        ClassifierJudge("vgg")


def test_the_command_writes_one_table_of_all_paths(folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    code = run_command(
        *("--model", "tiny-random-sides", "--pictures", str(folder), "--limit", "1"),
        *("--levels", "1,8", "--output", str(tmp_path / "out")),
        kind="cross",
    )
    assert code == 0
    lines = (tmp_path / "out" / "cross.md").read_text().splitlines()
    rows = [line for line in lines if line.startswith(("| 1 |", "| 8 |"))]
    assert len(rows) == 2 * 4
    assert (tmp_path / "out" / "cross.csv").read_text().count("psnr") == 8
