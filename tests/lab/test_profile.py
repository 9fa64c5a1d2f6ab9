"""``manypath lab profile`` as a person calls it: tables, JSON, CSV, files, baselines, and what it refuses."""

import csv
import io
import json
from pathlib import Path

import pytest
import torch

from manypath_cli.main import main
from manypath_lab.profile.subject import Baseline
from manypath_lab.profile.worker import Task, measure

SMALL = ["--size", "128x64", "--threads", "1"]


def test_one_model_as_json_and_as_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lab", "profile", "tiny-random-sides", *SMALL, "--json", "--output", str(tmp_path)]) == 0
    found = json.loads(capsys.readouterr().out)
    (model,) = found["models"]
    assert model["parameters"] == sum(part["parameters"] for part in model["parts"])
    stages = {(part["stage"], part["path"], part["main_share"]) for part in model["parts"]}
    assert {("analysis", "", 0.5), ("synthesis", "main", None), ("synthesis", "mse", 0.0)} <= stages
    spent = model["milliseconds"]
    assert spent["encode"] == pytest.approx(sum(ms for name, ms in spent.items() if name.startswith("encode: ")))
    assert spent["decode: synthesis, classification, rho 0.5"] > 0
    assert 50 < model["megabytes"]["load"] < 4000
    assert set(model["megabytes"]) == {"load", "encode", "decode"}
    assert {file.name for file in tmp_path.iterdir()} == {
        f"profile.{kind}" for kind in ("json", "csv", "md", "png", "svg")
    }
    assert "| synthesis, mse, rho 0 |" in (tmp_path / "profile.md").read_text()


def test_counts_alone_as_csv_and_as_tables(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lab", "profile", "tiny-random", "bmshj2018-hyperprior", "--runs", "0", "--csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    value = {(row["model"], row["what"], row["unit"]): float(row["value"]) for row in rows}
    assert value["bmshj2018-hyperprior", "analysis", "kMAC/px"] == pytest.approx(42.2, rel=0.01)
    assert value["bmshj2018-hyperprior", "analysis", "parameters"] == 1_493_312
    assert {row["unit"] for row in rows} == {"parameters", "kMAC/px"}
    assert main(["lab", "profile", "tiny-random", "--runs", "0"]) == 0
    assert "| tiny-random (untrained) |" in capsys.readouterr().out


def test_a_baseline_with_context_counts_it(capsys: pytest.CaptureFixture[str]) -> None:
    parts = {part.stage: part.kilomacs for part in Baseline("mbt2018", "cpu", "float32").parts()}
    assert parts["context"] == pytest.approx(11.17, rel=0.01)
    measured = measure(Task("bmshj2018-hyperprior", 64, 64, 1, 1, "cpu", "float32"))
    stages = {"analysis", "hyper-analysis", "hyper-synthesis", "coding"}
    assert {name.removeprefix("encode: ") for name in measured.milliseconds if name.startswith("encode: ")} == stages
    assert not capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--size", "768"], "768x512"),
        (["--threads", "0"], "at least 1"),
        (["--device", "cuda"], "no GPU"),
        (["--runs", "-1"], "at least 0"),
        (["--size", "20000x8"], "tiny-random was not measured"),
    ],
)
def test_what_cannot_be_is_refused(words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    if "cuda" in words and torch.cuda.is_available():
        pytest.skip("a GPU is here")
    assert main(["lab", "profile", "tiny-random", *words]) != 0
    assert told in capsys.readouterr().err


def test_a_failed_measurement_says_why() -> None:
    with pytest.raises(RuntimeError, match="no-such-model"):
        measure(Task("no-such-model", 64, 64, 1, 1, "cpu", "float32"))
