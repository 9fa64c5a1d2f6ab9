"""The path for people is trained as a side that sees noise, and goes on from an earlier one on other main weights."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from manypath import checkpoint
from manypath.codec import Codec
from manypath.config import NOISE_ADAPTERS
from manypath.edge.config import TINY
from manypath.errors import CheckpointError
from manypath.testing import random_model
from manypath_cli.main import main
from manypath_lab.training import sides
from manypath_lab.training.data import PictureSet
from manypath_lab.training.recipe import Phase, SideLoss, SideRecipe, load_recipe
from manypath_lab.training.stage2 import SideTrainer, begin_at, side_trainer
from tests.codec.conftest import photo

FEATURES = "tests.lab.test_wasserstein:Pyramid"
LOSS = SideLoss(mse=0.3, wasserstein=60.0, colour=2.0, features=FEATURES, balanced=False)


def recipe(steps: int = 12, shape: str = NOISE_ADAPTERS[0]) -> SideRecipe:
    phase = Phase(steps=steps, batch=2, crop=64, rate=(1.0, 0.1))
    return SideRecipe(name="t", path="perceptual", shape=shape, ema=0.5, warmup=2, loss=LOSS, phases=(phase,))


def model_file(folder: Path, seed: int) -> Path:
    made = random_model("tiny", seed=seed)
    file = folder / f"tiny-{seed}.safetensors"
    file.write_bytes(checkpoint.to_bytes(TINY, checkpoint.export(made.model, made.hyper_tables)))
    return file


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model_file(tmp_path_factory.mktemp("model"), 3)


@pytest.fixture(scope="module")
def finished(start: Path, photos: PictureSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("run")
    side_trainer(recipe(), start, photos, run).run(report_every=3)
    return run


@pytest.fixture(scope="module")
def exported(finished: Path, start: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("exported") / "people.safetensors"
    assert main(["models", "export", str(finished), "--model", str(start), "--output", str(file)]) == 0
    return file


def test_the_shipped_recipe_is_the_path_for_people() -> None:
    made = load_recipe("stage2_perceptual", steps=300)
    assert isinstance(made, SideRecipe)
    assert (made.path, made.shape, made.steps) == ("perceptual", NOISE_ADAPTERS[0], 300)
    assert made.augmentation is not None
    assert made.loss.wasserstein > 0


def test_an_untrained_path_for_people_is_the_main_path_and_ready_to_use_noise(
    start: Path, photos: PictureSet, tmp_path: Path
) -> None:
    trainer = SideTrainer(recipe(), sides.read(start), photos, tmp_path)
    for block in (block for group in trainer.model.g_s.groups for block in group.blocks):
        noise = block.side_mlps["perceptual"].noise
        assert noise is not None
        assert bool(noise.weight.any())
        assert not block.side_mlps["perceptual"].project.weight.any()


def test_it_learns_to_use_noise_and_streams_stay_as_they_were(exported: Path, start: Path) -> None:
    old, new = Codec.load(start), Codec.load(exported)
    weights = sides.read(exported).tensors["g_s.groups.0.blocks.0.side_mlps.perceptual.noise.weight"]
    assert bool(weights.any())
    image = photo(70, 90, 9)
    stream = old.encode(image, quality=2)
    assert new.encode(image, quality=2) == stream
    assert np.array_equal(new.decode(stream, path="mse"), old.decode(stream))
    assert not np.array_equal(new.decode(stream), old.decode(stream))


def test_the_noise_of_a_step_is_another_one_each_time(
    start: Path, photos: PictureSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = SideTrainer(recipe(), sides.read(start), photos, tmp_path)
    seen: list[torch.Tensor] = []
    paint = trainer.model.g_s.forward

    def look(shared: object, code: object, routing: object, trace: object) -> torch.Tensor:
        seen.append(routing.planes)  # type: ignore[attr-defined]
        return paint(shared, code, routing, trace)  # type: ignore[arg-type]

    monkeypatch.setattr(trainer.model.g_s, "forward", look)
    trainer.train_step()
    trainer.train_step()
    assert seen[0].shape == (2, 8, 8, 8)
    assert not torch.equal(seen[0], seen[1])
    assert not torch.equal(seen[0][0], seen[0][1])


@pytest.mark.parametrize("source", ["run", "file"])
def test_a_side_begins_at_an_earlier_one_on_other_main_weights(
    source: str, finished: Path, exported: Path, photos: PictureSet, tmp_path: Path
) -> None:
    trainer = SideTrainer(recipe(), sides.read(model_file(tmp_path, 4)), photos, tmp_path / "run")
    begin_at(trainer, finished if source == "run" else exported)
    earlier = sides.read(exported).tensors
    for name, tensor in trainer.side.tensors().items():
        assert torch.allclose(tensor, earlier[name].float(), atol=1e-3)
    averaged = trainer.average.module.state_dict()
    assert all(torch.equal(averaged[name], tensor) for name, tensor in trainer.side.state_dict().items())
    trainer.train_step()


def test_the_command_takes_an_earlier_run_once_and_then_resumes(finished: Path, start: Path, tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for seed in range(2):
        Image.fromarray(photo(96, 128, seed)).save(pictures / f"{seed}.png")
    file = tmp_path / "r.toml"
    file.write_text(
        'name = "t"\npath = "perceptual"\nshape = "noise-adapter"\nwarmup = 2\n'
        f'[loss]\nwasserstein = 60.0\nfeatures = "{FEATURES}"\n[[phases]]\nsteps = 2\nbatch = 2\ncrop = 64\n'
    )
    command = ["lab", "train", str(file), "--model", str(start), "--init", str(finished)]
    command += ["--pictures", str(pictures), "--output", str(tmp_path / "run")]
    assert main(command) == 0
    after = torch.load(tmp_path / "run" / "state.pt", weights_only=True)
    assert after["step"] == 2
    name = "parts.0.noise.weight"
    earlier = torch.load(finished / "state.pt", weights_only=True)["average"][f"module.{name}"]
    moved = (after["network"][name] - earlier).abs().max()
    assert 0 < float(moved) < 0.01
    assert main(command) == 0


def test_another_side_is_refused_by_name(finished: Path, start: Path, photos: PictureSet, tmp_path: Path) -> None:
    trainer = SideTrainer(recipe(shape="adapter"), sides.read(start), photos, tmp_path)
    with pytest.raises(CheckpointError, match="of the shape 'adapter'"):
        begin_at(trainer, finished)
    with pytest.raises(CheckpointError, match="no training run"):
        begin_at(trainer, tmp_path)
