import argparse
import json
import pathlib

import pytest

from manypath.errors import ManypathError, QualityError, RequestError
from manypath_lab.evaluation.commands import add_parser
from manypath_lab.evaluation.judges.fidelity import PsnrJudge
from manypath_lab.evaluation.judges.judge import Measure, mean, share
from manypath_lab.evaluation.path_table import Column, to_csv, to_markdown


def run_command(*arguments: str, kind: str = "compare") -> int:
    parser = argparse.ArgumentParser(prog="manypath")
    add_parser(parser.add_subparsers())
    parsed = parser.parse_args(["eval", kind, *arguments])
    code: int = parsed.func(parsed)
    return code


def test_compare_measures_a_folder_and_writes_tables_and_plots(
    folder: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    code = run_command(
        *("--pictures", str(folder), "--output", str(output), "--model", "tiny-random-sides", "--path", "perceptual"),
        *("--path", "mse=0.5", "--qualities", "1,8", "--baseline", "jpeg", "--baseline", "webp", "--against", "jpeg"),
    )
    assert code == 0
    measures = ("psnr", "ms-ssim", "perceptual")
    assert {file.name for file in output.iterdir()} == {
        *("pictures.csv", "pictures.json", "pictures.md"),
        *(f"pictures-{measure}.{kind}" for measure in measures for kind in ("png", "svg")),
    }
    verdicts = json.loads((output / "pictures.json").read_text())["verdicts"]
    assert [verdict["measure"] for verdict in verdicts] == list(measures)
    lines = [(curve["name"], curve["path"], curve["share"]) for curve in verdicts[0]["curves"]]
    assert lines == [
        ("tiny-random-sides-perceptual", "perceptual", 1.0),
        ("tiny-random-sides-mse-0.5", "mse", 0.5),
        ("jpeg", "", 1.0),
        ("webp", "", 1.0),
    ]
    assert "pictures, psnr by psnr: tiny-random-sides-perceptual vs jpeg" in capsys.readouterr().out


def test_baselines_alone_are_compared_on_several_sets(
    folder: pathlib.Path, photos: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    run_command(
        *("--pictures", str(folder), "--pictures", str(photos), "--output", str(tmp_path / "out"), "--model", "none"),
        *("--baseline", "jpeg", "--baseline", "webp", "--limit", "2", "--judge", "psnr"),
    )
    plain, labelled = (json.loads((tmp_path / "out" / f"{name}.json").read_text()) for name in ("pictures", "photos"))
    assert plain["pictures"]["measured"] == labelled["pictures"]["measured"] == 2
    (verdict,) = plain["verdicts"]
    assert [(one["curve"], one["anchor"]) for one in verdict["bd_rates"]] == [("jpeg", "webp"), ("webp", "jpeg")]
    settings = [
        [point["quality"] for point in content["verdicts"][0]["curves"][0]["points"]] for content in (plain, labelled)
    ]
    assert settings[0][0] < settings[1][0]  # each kind of set has settings that are worth measuring


def test_two_models_of_one_name_are_told_apart(folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    run_command(
        *("--pictures", str(folder), "--output", str(tmp_path / "out"), "--limit", "1", "--qualities", "1,8"),
        *("--model", "tiny-random", "--model", "tiny-random", "--baseline", "none", "--judge", "psnr"),
    )
    (verdict,) = json.loads((tmp_path / "out" / "pictures.json").read_text())["verdicts"]
    names = [curve["name"] for curve in verdict["curves"]]
    assert names == ["tiny-random-perceptual", "tiny-random-2-perceptual"]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (["--model", "none", "--baseline", "none"], RequestError, "nothing to measure"),
        (["--model", "none", "--baseline", "jpeg", "--against", "vtm"], RequestError, "listed with --baseline"),
        (["--model", "tiny-random", "--qualities", "1,x"], QualityError, "numbers separated by commas"),
        (["--model", "tiny-random", "--path", "mse=half"], RequestError, "NAME or NAME=SHARE"),
        (["--model", "tiny-random", "--path", "boats"], RequestError, "boats"),
        (["--model", "no-such-model", "--baseline", "none"], ManypathError, "no-such-model"),
        (["--baseline", "tiff", "--model", "none"], ManypathError, "got tiff"),
        (["--drops", "-1"], RequestError, "--drops must be positive"),
        (["--judge", "vgg"], RequestError, "got 'vgg'"),
        (["--limit", "0"], RequestError, "--limit must be at least 1"),
    ],
)
def test_a_request_that_cannot_be_met_is_refused_in_words(
    folder: pathlib.Path, tmp_path: pathlib.Path, arguments: list[str], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        run_command(
            *("--pictures", str(folder), "--output", str(tmp_path / "out"), "--limit", "1", "--judge", "psnr"),
            *arguments,
        )


@pytest.mark.parametrize("kind", ["compare", "paths", "transition", "ablation"])
def test_each_measurement_explains_itself_with_an_example(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        run_command("--help", kind=kind)
    assert f"manypath lab eval {kind} --" in capsys.readouterr().out.partition("examples:")[2]


def test_paths_writes_one_table_of_all_paths(folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    code = run_command(
        *("--model", "tiny-random-sides", "--pictures", str(folder), "--limit", "1", "--judge", "psnr"),
        *("--qualities", "1,8", "--output", str(tmp_path / "out")),
        kind="paths",
    )
    assert code == 0
    lines = (tmp_path / "out" / "paths.md").read_text().splitlines()
    rows = [line for line in lines if line.startswith(("| 1 |", "| 8 |"))]
    assert len(rows) == 2 * 4
    assert sum("**" in row for row in rows) >= 2
    assert (tmp_path / "out" / "paths.csv").read_text().count("psnr") == 8


def test_the_best_path_of_a_quality_is_bold_and_smaller_distances_are_better() -> None:
    rows = [("perceptual", 1.0), ("mse", 1.0)]
    distance = Measure("perceptual", "perceptual distance", slice(0, 2), mean, digits=4, lower=True)
    top1 = Measure("top1", "top-1 (%)", slice(0, 2), share, digits=1, drops=(2.0,))
    table = [
        Column("kodak", None, 0.0, dict(zip(rows, (0.1, 0.1), strict=True))),
        Column("kodak", distance, 0.0, dict(zip(rows, (1.0, 2.0), strict=True))),
        Column("kodak", PsnrJudge.measures[0], 100.0, dict(zip(rows, (27.0, 28.0), strict=True))),
        Column("photos", top1, 82.5, dict(zip(rows, (70.0, 60.0), strict=True))),
    ]
    text = to_markdown(table, "model", ["24 pictures of `kodak`"])
    assert "| 1 | perceptual | 0.100 | **1.0000** | 27.00 | **70.0** |" in text
    assert "| 1 | mse | 0.100 | 2.0000 | **28.00** | 60.0 |" in text
    assert "photos: top-1 (%) (originals 82.5)" in text
    assert "photos,top1,mse,1,60.000000,82.500000" in to_csv(table)


def test_transition_writes_the_way_to_the_side_path(folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    code = run_command(
        *("--model", "tiny-random-sides", "--pictures", str(folder), "--limit", "1", "--judge", "psnr"),
        *("--qualities", "8", "--steps", "2", "--output", str(tmp_path / "out")),
        kind="transition",
    )
    assert code == 0
    (way,) = json.loads((tmp_path / "out" / "transition.json").read_text())
    assert (way["path"], way["measure"], way["shares"]) == ("mse", "psnr", [0.0, 0.5, 1.0])
    assert (tmp_path / "out" / "transition-mse.svg").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "tiny-random", "--steps", "1"], "--steps must be at least 2"),
        (["--model", "tiny-random"], "tiny-random has no mse path"),
    ],
)
def test_a_transition_that_cannot_be_is_refused_in_words(
    folder: pathlib.Path, tmp_path: pathlib.Path, arguments: list[str], message: str
) -> None:
    with pytest.raises(RequestError, match=message):
        run_command("--pictures", str(folder), "--output", str(tmp_path / "out"), *arguments, kind="transition")
