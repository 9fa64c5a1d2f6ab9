import argparse
import json
import pathlib

import pytest

from manypath.errors import ManypathError, QualityError, RequestError
from manypath_lab.evaluation.cli import add_parser


def run_command(*arguments: str, kind: str = "rd") -> int:
    parser = argparse.ArgumentParser(prog="manypath")
    add_parser(parser.add_subparsers())
    parsed = parser.parse_args(["eval", kind, *arguments])
    code: int = parsed.func(parsed)
    return code


def test_the_command_measures_a_folder_and_writes_tables_and_plots(
    folder: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    code = run_command(
        *("--pictures", str(folder), "--output", str(output), "--checkpoint", "tiny-random"),
        *("--levels", "1,8", "--peers", "jpeg,webp", "--against", "jpeg"),
    )
    assert code == 0
    assert {file.name for file in output.iterdir()} == {
        *("rd.csv", "rd.json", "rd.md"),
        *("rd-psnr.png", "rd-psnr.svg", "rd-ms-ssim.png", "rd-ms-ssim.svg"),
    }
    names = [curve["name"] for curve in json.loads((output / "rd.json").read_text())["curves"]]
    assert names == ["tiny-random", "jpeg", "webp"]
    assert "tiny-random vs jpeg, psnr" in capsys.readouterr().out


def test_peers_alone_are_compared_with_each_other(folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    run_command(
        *("--pictures", str(folder), "--output", str(tmp_path / "out"), "--peers-only"),
        *("--peers", "jpeg,webp", "--against", "jpeg", "--limit", "1"),
    )
    content = json.loads((tmp_path / "out" / "rd.json").read_text())
    assert content["pictures"]["measured"] == 1
    assert [(one["curve"], one["anchor"]) for one in content["bd_rate"]] == [("webp", "jpeg")] * 2


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (["--peers-only", "--peers", "none"], RequestError, "nothing to measure"),
        (["--peers-only", "--peers", "jpeg", "--against", "vtm"], RequestError, "--reference kodak"),
        (["--checkpoint", "tiny-random", "--levels", "1,x"], QualityError, "numbers separated by commas"),
        (["--checkpoint", "no-such-model", "--peers", "none"], ManypathError, "no-such-model"),
        (["--peers", "tiff", "--peers-only"], ManypathError, "got tiff"),
    ],
)
def test_a_request_that_cannot_be_met_is_refused_in_words(
    folder: pathlib.Path, tmp_path: pathlib.Path, arguments: list[str], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        run_command("--pictures", str(folder), "--output", str(tmp_path / "out"), "--limit", "1", *arguments)


def test_published_curves_of_other_pictures_are_marked_as_such(
    folder: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    run_command(
        *("--pictures", str(folder), "--output", str(output), "--peers-only", "--peers", "jpeg"),
        *("--limit", "1", "--reference", "kodak"),
    )
    assert "compare with them only roughly" in capsys.readouterr().err
    assert "compare with them only roughly" in (output / "rd.md").read_text()


def test_two_models_of_one_name_are_told_apart(folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    run_command(
        *("--pictures", str(folder), "--output", str(tmp_path / "out"), "--limit", "1", "--levels", "1,8"),
        *("--checkpoint", "tiny-random", "--checkpoint", "tiny-random", "--peers", "none"),
    )
    content = json.loads((tmp_path / "out" / "rd.json").read_text())
    assert [curve["name"] for curve in content["curves"]] == ["tiny-random", "tiny-random-2"]


def test_help_teaches_with_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        run_command("--help")
    assert "manypath eval rd --pictures kodak --checkpoint edge" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["cls", "seg", "cross", "transition", "ablation"])
def test_each_measurement_explains_itself_with_an_example(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        run_command("--help", kind=kind)
    assert f"manypath eval {kind} --" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        ("cls", ["--pictures", ".", "--drops", "-1"], "--drops must be positive"),
        ("cls", ["--pictures", "."], "labels.csv must be a CSV file"),
        ("seg", ["--data", "."], "must hold val/images and val/masks"),
        ("cross", ["--model", "tiny-random"], "at least one of --pictures, --photos, --streets"),
        ("transition", ["--model", "tiny-random", "--steps", "1"], "--steps must be at least 2"),
    ],
)
def test_a_measurement_that_cannot_be_made_is_refused_in_words(
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ManypathError, match=message):
        run_command(*arguments, "--output", str(tmp_path / "out"), kind=kind)


def test_a_side_without_trained_weights_has_no_transition(folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    with pytest.raises(RequestError, match="tiny-random has no mse path"):
        run_command(
            *("--model", "tiny-random", "--pictures", str(folder), "--output", str(tmp_path)), kind="transition"
        )
