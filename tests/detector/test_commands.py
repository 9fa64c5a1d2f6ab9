"""The detector's commands: installed whole with its notices, exported as one file, compared with itself."""

import json
from pathlib import Path

import pytest
from PIL import Image

from manypath_cli.main import main
from manypath_lab.detector.export import export_detector
from manypath_lab.detector.weights import class_names, shipped_file
from tests.detector.conftest import Reference


def test_a_second_install_finds_the_first_whole_and_with_its_notices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MANYPATH_CACHE", str(tmp_path / "cache"))
    assert main(["lab", "detector", "install"]) == 0
    assert main(["lab", "detector", "install", "--output", str(tmp_path / "models")]) == 0
    first, second = capsys.readouterr().out.splitlines()
    folder = tmp_path / "models" / "nanodet-g"
    assert first.startswith("built")
    assert second.startswith(f"found {folder}")
    manifest = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    assert manifest["task"] == "detection"
    assert [(note["name"], note["datatype"], note["shape"]) for note in manifest["outputs"]] == [
        ("boxes", "FP32", [-1, 100, 4]),
        ("scores", "FP32", [-1, 100]),
        ("classes", "INT32", [-1, 100]),
        ("count", "INT32", [-1, 1]),
    ]
    assert (folder / "labels.txt").read_text(encoding="utf-8").splitlines() == list(class_names())
    assert "RangiLyu" in (folder / "NOTICE").read_text(encoding="utf-8")
    assert (folder / "LICENSE-nanodet.txt").is_file()
    assert (folder / "model.onnx").stat().st_size < 8_000_000
    (folder / "NOTICE").unlink()  # a copy without it is no copy
    export_detector(tmp_path / "models")
    assert (folder / "NOTICE").is_file()


def test_an_exported_file_agrees_with_the_shipped_detector(
    reference: Reference, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.onnx"
    assert main(["lab", "detector", "export", "--output", str(file), "--model", str(shipped_file())]) == 0
    assert main(["lab", "detector", "export", "--output", str(file)]) != 0
    assert "--force" in capsys.readouterr().err
    assert main(["lab", "detector", "export", "--output", str(tmp_path / "mine.txt")]) != 0
    assert ".onnx or .safetensors" in capsys.readouterr().err
    Image.fromarray(reference["img0_rgb"]).save(tmp_path / "street.png")
    assert main(["lab", "detector", "eval", str(file), "--pictures", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "F1 100.0%" in lines[0]
    assert "8 found by both" in lines[0]
    assert "ms a picture" in lines[-1]


def test_a_test_set_is_chosen_by_what_the_detector_finds_in_the_originals(
    reference: Reference, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A set of photos and a labelled one with people in both; twins count once, whatever they are called."""
    people = Image.fromarray(reference["img0_rgb"])
    photos, labelled = tmp_path / "photos", tmp_path / "labelled"
    (labelled / "images").mkdir(parents=True)
    photos.mkdir()
    people.save(photos / "street.png")
    Image.new("RGB", (160, 120), (90, 90, 90)).save(photos / "nothing.png")
    people.save(labelled / "images" / "the same.png")
    people.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(labelled / "images" / "mirrored.png")
    words = ["lab", "detector", "choose", "--pictures", str(photos), "--pictures", str(labelled)]
    output = tmp_path / "street"
    assert main([*words, "--output", str(output)]) == 0
    assert capsys.readouterr().out.startswith("2 pictures with ")
    assert sorted(file.name for file in output.iterdir()) == [
        "choice.csv",
        "labelled-mirrored.png",
        "photos-street.png",
    ]
    table = (output / "choice.csv").read_text(encoding="utf-8").splitlines()
    assert table[0] == "file,source,digest,boxes"
    assert all(int(row.rpartition(",")[2]) >= 1 for row in table[1:])
    assert main([*words, "--output", str(output)]) != 0
    assert "there already" in capsys.readouterr().err
    assert main([*words, "--class", "zebra", "--output", str(tmp_path / "zebras")]) == 0
    assert capsys.readouterr().out.startswith("0 pictures")
    assert main([*words, "--class", "tram", "--output", str(tmp_path / "trams")]) != 0
    assert "got tram" in capsys.readouterr().err
