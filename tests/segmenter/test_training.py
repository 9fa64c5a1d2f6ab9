"""Training learns, resumes to the step, and is told what it may be told."""

from pathlib import Path

import numpy as np
import pytest
import torch

from manypath.errors import CheckpointError, ConfigError
from manypath_cli.main import main
from manypath_lab.segmenter.trainer import SegmenterRecipe, SegmenterTrainer, load_recipe
from manypath_lab.segmenter.weights import read_run, to_bytes
from manypath_lab.training.recipe import Phase
from manypath_lab.training.teachers import load_task_network
from tests.segmenter.street import street, write


def recipe(steps: int) -> SegmenterRecipe:
    return SegmenterRecipe(warmup=1, ema=0.5, phases=(Phase(steps=steps, batch=2, crop=64),))


def trainer(folder: Path, steps: int) -> SegmenterTrainer:
    scenes = [street(1), street(2)]
    return SegmenterTrainer(recipe(steps), scenes, scenes, folder)


def test_two_pictures_are_learned(tmp_path: Path) -> None:
    run = trainer(tmp_path, 8)
    stem = run.network.features.stem.conv.weight.clone()
    losses = [run.train_step()["loss"] for _ in range(8)]
    assert np.mean(losses[-2:]) < 0.7 * np.mean(losses[:2])
    assert torch.equal(run.network.features.stem.conv.weight, stem), "the first stages stay as they are"


def test_a_run_that_was_cut_ends_where_an_uninterrupted_one_does(tmp_path: Path) -> None:
    whole, cut = trainer(tmp_path / "whole", 2), trainer(tmp_path / "cut", 2)
    whole.run(report_every=1)
    cut.train_step()
    cut.folder.mkdir()
    cut.save()
    again = trainer(tmp_path / "cut", 2)
    assert again.resume()
    assert again.step == 1
    again.run(report_every=1)
    for (name, left), right in zip(
        whole.network.state_dict().items(), again.network.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(left, right, msg=name)
    assert (tmp_path / "whole" / "curves.csv").read_text().count("\n") == 3
    assert (tmp_path / "whole" / "validation.csv").read_text().count("\n") == 2
    assert (tmp_path / "whole" / "samples" / "0000002.png").is_file()
    network, step = read_run(tmp_path / "whole")
    assert step == 2
    assert not network.training


def test_a_segmenter_of_another_width_is_trained_exported_and_taught_with(tmp_path: Path) -> None:
    scenes = [street(1), street(2)]
    narrow = recipe(1).model_copy(update={"width": 24})
    run = SegmenterTrainer(narrow, scenes, scenes, tmp_path / "narrow")
    run.run(report_every=1)
    network, _ = read_run(tmp_path / "narrow")
    assert network.classify.weight.shape[1] == 24
    file = tmp_path / "narrow.safetensors"
    file.write_bytes(to_bytes(network, {}))
    teacher = load_task_network(f"segmenter={file}")
    x = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        (answer,) = teacher(x)
        torch.testing.assert_close(answer, network(x))
        assert not torch.allclose(answer, load_task_network("segmenter")(x)[0])


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="holds no training run"):
        read_run(tmp_path)


def test_a_recipe_file_changes_what_it_names_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "recipe.toml"
    file.write_text("seed = 7\n")
    assert load_recipe(file) == SegmenterRecipe(seed=7)
    file.write_text("speed = 7\n")
    with pytest.raises(ConfigError, match="speed"):
        load_recipe(file)


def test_the_command_trains_and_exports(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for split in ("train", "val"):
        write([street(1)], tmp_path / "data" / split)
    (tmp_path / "recipe.toml").write_text("warmup = 1\nphases = [{steps = 1, batch = 2, crop = 64}]\n")
    data, run = str(tmp_path / "data"), str(tmp_path / "run")
    asked = ["lab", "segmenter", "train", "--pictures", data, "--output", run]
    assert main([*asked, "--recipe", str(tmp_path / "recipe.toml")]) == 0
    assert "step 1 of 1" in capsys.readouterr().out
    output = tmp_path / "mine.onnx"
    assert main(["lab", "segmenter", "export", run, "--output", str(output)]) == 0
    assert output.stat().st_size < 15_000_000
    assert main(["lab", "segmenter", "export", run, "--output", str(output)]) == 3, (
        "an existing file is not overwritten"
    )
    assert main(["lab", "segmenter", "export", run, "--output", str(tmp_path / "mine.pth")]) == 2
    assert main(["lab", "segmenter", "train", "--pictures", str(tmp_path), "--output", run]) == 3
