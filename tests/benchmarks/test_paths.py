import json
import pathlib

import pytest

from benchmarks.paths import main


def test_paths_together_and_apart_are_measured_and_compared(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "paths.json"
    size = ["--width", "128", "--height", "96", "--rounds", "2"]
    assert main(["--model", "tiny-random-sides", *size, "--output", str(file)]) == 0
    told = capsys.readouterr().out
    assert "PASS: both ways give the same pictures" in told
    found = json.loads(file.read_text())
    assert found["paths"] == ["classification", "mse", "segmentation"]
    one, together, separately = found["ways"]
    assert set(one["stages"]) == set(together["stages"]) == {"entropy_parameters", "coding", "synthesis"}
    assert all(way["seconds"] > 0 for way in (one, together, separately))


def test_a_model_without_sides_has_nothing_to_compare(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--model", "tiny-random", "--rounds", "1"]) == 2
    assert "needs two paths with weights in tiny-random" in capsys.readouterr().err
