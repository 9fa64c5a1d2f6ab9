"""Joint fine-tuning: everything learns, one stream serves all paths, a run starts from others."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from manypath.codec import Codec
from manypath.errors import CheckpointError, ConfigError
from manypath_cli.main import main
from manypath_lab.training.data import PictureSet
from manypath_lab.training.export import blend, export_run, load_average
from manypath_lab.training.float_weights import save_weights
from manypath_lab.training.init import initialise
from manypath_lab.training.joint import JointTrainer
from manypath_lab.training.qualities import draw_codes
from manypath_lab.training.recipe import JointRecipe, JointTask, Loss, Phase, Recipe, SideLoss, load_recipe
from manypath_lab.training.stage1 import Trainer
from tests.codec.conftest import photo

PHASE = Phase(steps=6, batch=2, crop=64)
BRIGHTNESS = "tests.lab.test_sides:brightness_network"
TASKS = (
    JointTask(path="mse", chance=0.5, shape="adapter", zoom_out=1.5),
    JointTask(
        path="brightness", chance=0.5, network="tests.lab.test_sides:brightness_network", loss=SideLoss(task=1.0)
    ),
)
RECIPE = JointRecipe(
    name="t", preset="tiny", warmup=1, ema=0.5, tasks=TASKS, tasks_weight=0.5, upper=0.5, phases=(PHASE,)
)


@pytest.fixture(scope="module")
def main_run(photos: PictureSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the main model alone."""
    run = tmp_path_factory.mktemp("main")
    Trainer(Recipe(name="m", preset="tiny", warmup=1, ema=0.5, phases=(PHASE,)), photos, run).run(report_every=3)
    return run


@pytest.mark.usefixtures("units")
def test_it_starts_from_a_run_and_everything_learns(main_run: Path, photos: PictureSet, tmp_path: Path) -> None:
    trainer = JointTrainer(RECIPE, photos, tmp_path)
    trainer.initialise(main_run)
    before = {key: value.clone() for key, value in trainer.network.state_dict().items()}
    average = torch.load(main_run / "state.pt", weights_only=True)["average"]
    main = {key: value for key, value in before.items() if ".mse." not in key and ".brightness." not in key}
    assert all(torch.equal(average[f"module.{key}"], value) for key, value in main.items())
    trainer.run(report_every=3)
    after = trainer.network.state_dict()
    for part in ("g_a.embed", "g_s.paint", "h_s", "side_mlps.mse", "side_mlps.brightness", "predictors.mse"):
        keys = [key for key in before if part in key]
        assert keys
        assert any(not torch.equal(before[key], after[key]) for key in keys), part
    file = tmp_path / "joint.safetensors"
    file.write_bytes(export_run(tmp_path))
    codec = Codec.load(file)
    stream = codec.encode(photo(70, 90, 9), quality=4)
    pictures_out = codec.decode_paths(stream, [("perceptual", 1.0), ("mse", 1.0), ("brightness", 1.0)])
    assert len({picture.tobytes() for picture in pictures_out}) == 3


def test_paths_learn_from_their_own_pictures(photos: PictureSet, tmp_path: Path) -> None:
    class Counted:
        asked = 0

        def upright_crops(self, *args: object) -> torch.Tensor:
            self.asked += 1
            return photos.upright_crops(*args)  # type: ignore[arg-type]

    counted = Counted()
    trainer = JointTrainer(RECIPE, photos, tmp_path, of_path={"mse": counted})  # type: ignore[dict-item]
    for _ in range(8):
        trainer.train_step()
    assert 0 < counted.asked < 8


def test_samples_are_drawn_from_the_upper_qualities_as_often_as_asked() -> None:
    random = np.random.default_rng(3)
    everywhere, upper, half = (draw_codes(random, 2000, 0.5, share) for share in (0.0, 1.0, 0.5))
    assert (int(everywhere.min()), int(everywhere.max())) == (0, 224)
    assert int(upper.min()) >= 112
    assert int(upper.max()) == 224
    counts = [float((codes < 112).float().mean()) for codes in (everywhere, half)]
    assert counts[1] == pytest.approx(counts[0] / 2, abs=0.05)


def test_a_run_of_another_preset_is_refused(photos: PictureSet, tmp_path: Path) -> None:
    run = tmp_path / "other"
    recipe = Recipe(name="m", preset="tinylic-tiny", warmup=1, phases=(PHASE,))
    Trainer(recipe, photos, run).run(max_seconds=0.0)
    trainer = JointTrainer(RECIPE, photos, tmp_path / "joint")
    with pytest.raises(CheckpointError, match="another preset"):
        trainer.initialise(run)


def test_the_shipped_recipe_and_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = load_recipe("joint")
    assert isinstance(recipe, JointRecipe)
    assert [task.path for task in recipe.tasks] == ["classification", "segmentation", "detection"]
    with pytest.raises(ConfigError, match="tasks_weight"):
        load_recipe("joint", tasks_weight=0.0)
    from PIL import Image

    Image.fromarray(photo(256, 256, 1)).save(tmp_path / "1.png")
    asked = ["lab", "train", "joint", "--pictures", str(tmp_path), "--output", str(tmp_path / "run")]
    assert main([*asked, "--path-pictures", "no=there"]) != 0
    assert "PATH=DIR" in capsys.readouterr().err


def test_what_became_of_a_run_is_blended_with_it(main_run: Path, photos: PictureSet, tmp_path: Path) -> None:
    trainer = JointTrainer(RECIPE, photos, tmp_path)
    trainer.initialise(main_run)
    trainer.run(report_every=3)
    main_only, joint = load_average(main_run)[0].state_dict(), load_average(tmp_path)[0].state_dict()
    network, _, _ = load_average(tmp_path)
    blend(network, main_run, 0.25)
    blended = network.state_dict()
    key, side = "model.g_a.embed.weight", "model.g_s.groups.0.blocks.0.side_mlps.mse.project.weight"
    assert torch.allclose(blended[key], 0.75 * joint[key] + 0.25 * main_only[key])
    assert not torch.equal(joint[key], main_only[key])
    assert torch.equal(blended[side], joint[side])
    file = tmp_path / "half.safetensors"
    assert main(["models", "export", str(tmp_path), "--blend", f"{main_run}=0.5", "-o", str(file)]) == 0
    codec = Codec.load(file)
    assert codec.decode(codec.encode(photo(70, 90, 9), quality=4), path="mse").shape == (70, 90, 3)
    assert main(["models", "export", str(tmp_path), "--blend", str(main_run), "-f", "-o", str(file)]) != 0
    with pytest.raises(CheckpointError, match="0 to 1"):
        blend(network, main_run, 1.5)


def test_the_decoder_alone_is_finished_on_a_joint_runs_streams(
    main_run: Path, photos: PictureSet, tmp_path: Path
) -> None:
    joint = JointTrainer(RECIPE, photos, tmp_path / "joint")
    joint.initialise(main_run)
    joint.run(report_every=3)
    floats = tmp_path / "floats.safetensors"
    floats.write_bytes(save_weights(load_average(tmp_path / "joint")[0]))
    shipped = load_recipe("stage1_finish", preset="tiny", steps=2, batch=2, crop=64)
    assert isinstance(shipped, Recipe)
    run = tmp_path / "finish"
    small = {"warmup": 1, "ema": 0.0, "loss": Loss()}  # crops are too small for MS-SSIM
    trainer = Trainer(shipped.model_copy(update=small), photos, run)
    for source in (floats, tmp_path / "joint"):  # its sides stay behind
        initialise(trainer, source)
    trainer.run(report_every=1)
    files = (tmp_path / "joint.safetensors", tmp_path / "finished.safetensors")
    files[0].write_bytes(export_run(tmp_path / "joint"))
    files[1].write_bytes(export_run(tmp_path / "joint", (run, 1.0)))
    before, after = (Codec.load(file) for file in files)
    stream = before.encode(photo(70, 90, 9), quality=4)
    assert after.encode(photo(70, 90, 9), quality=4) == stream
    assert before.decode(stream).tobytes() != after.decode(stream).tobytes()
    assert after.trained_paths == before.trained_paths
    both = tmp_path / "both.safetensors"
    assert main(["models", "export", str(tmp_path / "joint"), "--blend", f"{run}=1", "--floats", "-o", str(both)]) == 0
    finished = load_average(run)[0].state_dict()
    kept, key = load_file(both), "model.g_s.paint.weight"
    assert torch.equal(kept[key], finished[key])
    assert not torch.equal(kept[key], load_file(floats)[key])


def test_plain_steps_have_the_main_models_loss_alone(main_run: Path, photos: PictureSet, tmp_path: Path) -> None:
    trainer = JointTrainer(RECIPE.model_copy(update={"plain": 0.999}), photos, tmp_path)
    trainer.initialise(main_run)
    sides = {key: value.clone() for key, value in trainer.network.state_dict().items() if "side_mlps.mse" in key}
    steps = [trainer.train_step() for _ in range(2)]
    assert all(math.isnan(step["task"]) and step["bpp"] > 0 for step in steps)
    assert all(torch.equal(trainer.network.state_dict()[key], value) for key, value in sides.items())


def test_several_teachers_of_a_task_take_turns(main_run: Path, photos: PictureSet, tmp_path: Path) -> None:
    task = TASKS[1].model_copy(update={"also": (BRIGHTNESS,)})
    trainer = JointTrainer(RECIPE.model_copy(update={"tasks": (task,)}), photos, tmp_path)
    trainer.initialise(main_run)
    asked: list[int] = []
    for number, network in enumerate(trainer.terms["brightness"].networks):
        network.register_forward_hook(lambda *_, number=number: asked.append(number))
    for _ in range(8):
        trainer.train_step()
    assert set(asked) == {0, 1}
