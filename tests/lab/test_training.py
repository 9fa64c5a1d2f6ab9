"""Training: it learns, it resumes to the step, and what it exports is what it trained."""

import argparse
import fcntl
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from manypath import checkpoint
from manypath.codec import Codec
from manypath.config import PUBLISHED_RATE_WEIGHTS
from manypath.entropy.tables import stack
from manypath.errors import ConfigError
from manypath_lab.training import command
from manypath_lab.training.data import PictureSet
from manypath_lab.training.export import export_run, hyper_rows, load_average
from manypath_lab.training.losses import PerceptualTerm, rate_distortion, rate_weight, squared_error
from manypath_lab.training.rate import StepBits
from manypath_lab.training.recipe import Phase, Recipe, load_recipe, shipped
from manypath_lab.training.stage1 import Trainer
from tests.codec.conftest import photo

RECIPE = Recipe(name="test", preset="tiny", warmup=5, phases=(Phase(steps=24, batch=2, crop=64, rate=(1.0, 0.1)),))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five photo-like pictures, one that is too small and one that is no picture."""
    folder = tmp_path_factory.mktemp("pictures")
    for seed in range(5):
        Image.fromarray(photo(96, 128, seed)).save(folder / f"{seed}.png")
    Image.fromarray(photo(20, 20)).save(folder / "small.png")
    (folder / "broken.jpg").write_bytes(b"not a picture")
    return folder


@pytest.fixture(scope="module")
def pictures(folder: Path) -> PictureSet:
    return PictureSet(folder, 64, quiet=True)


@pytest.fixture(scope="module")
def finished(pictures: PictureSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole run."""
    run = tmp_path_factory.mktemp("run")
    Trainer(RECIPE, pictures, run).run(report_every=6)
    return run


def test_bad_pictures_are_named_and_skipped(pictures: PictureSet) -> None:
    assert len(pictures.pictures) == 5
    assert {file.name: reason.split(":")[0] for file, reason in pictures.skipped} == {
        "broken.jpg": "unreadable",
        "small.png": "smaller than 64 pixels",
    }


def test_a_run_leaves_what_a_person_wants_to_look_at(finished: Path) -> None:
    assert (finished / "curves.csv").read_text().count("\n") == 5
    assert list((finished / "samples").glob("*.png"))
    assert list((finished / "tensorboard").iterdir())


def loss_on_fixed_crops(trainer: Trainer) -> float:
    """Return the Lagrangian over all levels on crops that do not change."""
    x = trainer.pictures.crops(np.random.default_rng(9), 8, 64)
    code = torch.arange(8) * 32
    torch.manual_seed(9)  # the rate's noise
    bits = StepBits(trainer.network.rate)
    with torch.no_grad():
        out = trainer.network.model(x, code, bits)
        weights = trainer.network.model.config.rate_weights
        bpp = (bits.bits + trainer.network.rate.hyper_bits(out.z, code)) / 64**2
        return float(rate_distortion(bpp, squared_error(out.x_hat, x), code, weights).mean())


@pytest.mark.usefixtures("units")
def test_training_lowers_the_loss(pictures: PictureSet, tmp_path: Path) -> None:
    recipe = RECIPE.model_copy(update={"phases": (Phase(steps=60, batch=4, crop=64),)})
    trainer = Trainer(recipe, pictures, tmp_path)
    before = loss_on_fixed_crops(trainer)
    for _ in range(60):
        trainer.train_step()
    assert loss_on_fixed_crops(trainer) < 0.994 * before  # measured: 0.988


def test_a_run_resumes_to_the_step(pictures: PictureSet, finished: Path, tmp_path: Path) -> None:
    first = Trainer(RECIPE, pictures, tmp_path)
    for _ in range(10):
        first.train_step()
    first.save()
    second = Trainer(RECIPE, pictures, tmp_path)
    assert second.resume()
    assert second.step == 10
    second.run()
    interrupted, whole = load_average(tmp_path)[0], load_average(finished)[0]
    for name, value in whole.state_dict().items():
        assert torch.equal(value, interrupted.state_dict()[name]), name


def test_what_is_exported_computes_what_was_trained(finished: Path, tmp_path: Path) -> None:
    network, _, _ = load_average(finished)
    file = tmp_path / "model.safetensors"
    file.write_bytes(export_run(finished))
    released = checkpoint.load(file)
    code = torch.tensor([77])
    z = torch.randint(-20, 21, (1, 2, 2, network.model.config.hyper_channels)).float()
    with torch.no_grad():
        trained = network.model.h_s(z, code)
        assert torch.equal(released.model.h_s(z, code), trained)

        def visit(_step: object, _where: object, means: torch.Tensor, indexes: torch.Tensor) -> torch.Tensor:
            return means + torch.round(indexes - 20)

        assert torch.equal(
            released.model.context.walk(trained, code, visit), network.model.context.walk(trained, code, visit)
        )


def test_an_exported_model_codes_pictures(finished: Path, tmp_path: Path) -> None:
    file = tmp_path / "trained.safetensors"
    file.write_bytes(export_run(finished))
    codec = Codec.load(file)
    image = photo(100, 90)
    decoded = codec.decode(codec.encode(image, quality=8))
    assert 10 * np.log10(255**2 / np.mean((decoded.astype(float) - image) ** 2)) > 20


def test_every_tensor_of_a_checkpoint_is_accounted_for(finished: Path) -> None:
    network, _, _ = load_average(finished)
    tensors = checkpoint.export(network.model, stack(hyper_rows(network.rate)))
    missing = {name: tensor for name, tensor in tensors.items() if name != "context.mean_gain.table"}
    with pytest.raises(checkpoint.CheckpointError, match=r"context\.mean_gain\.table"):
        checkpoint.build(network.model.config, missing)
    with pytest.raises(checkpoint.CheckpointError, match="surprise"):
        checkpoint.build(network.model.config, {**tensors, "surprise": torch.zeros(1)})


def test_a_damaged_checkpoint_is_refused(finished: Path, tmp_path: Path) -> None:
    data = bytearray(export_run(finished))
    data[-100] ^= 1  # the last tensors belong to the shared part
    file = tmp_path / "damaged.safetensors"
    file.write_bytes(data)
    with pytest.raises(checkpoint.CheckpointError):
        checkpoint.load(file)


def test_a_run_folder_has_one_process_at_a_time(pictures: PictureSet, tmp_path: Path) -> None:
    with (tmp_path / "lock").open("a") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(ConfigError, match="another process trains in"):
            Trainer(RECIPE, pictures, tmp_path).run()
    assert not (tmp_path / "state.pt").exists()
    Trainer(RECIPE, pictures, tmp_path).run(max_seconds=0.01)
    assert (tmp_path / "state.pt").exists()


def is_locked(folder: Path) -> bool:
    with (folder / "lock").open("a") as other:
        try:
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def test_a_run_folder_is_taken_once_for_all_that_is_done_in_it(pictures: PictureSet, tmp_path: Path) -> None:
    trainer = Trainer(RECIPE, pictures, tmp_path / "run")
    with trainer.alone():
        assert not trainer.resume()
        assert is_locked(trainer.folder)
        trainer.run(max_seconds=0.01)
        assert is_locked(trainer.folder)
        with pytest.raises(ConfigError, match="another process trains in"):
            Trainer(RECIPE, pictures, trainer.folder).run()
    assert not is_locked(trainer.folder)


def test_the_command_takes_the_run_folder_before_it_reads_where_the_run_stands(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between reading and training, another process could have gone on and ended."""
    locked: list[bool] = []
    resume = Trainer.resume

    def look(self: Trainer) -> bool:
        locked.append(is_locked(tmp_path / "run"))
        return resume(self)

    monkeypatch.setattr(Trainer, "resume", look)
    recipe = tmp_path / "short.toml"
    recipe.write_text('name = "short"\npreset = "tiny"\n[[phases]]\nsteps = 1\nbatch = 1\ncrop = 64\n')
    words = ["train", str(recipe), "--pictures", str(folder), "--output", str(tmp_path / "run")]
    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers())
    for _ in range(2):
        args = parser.parse_args(words)
        assert args.func(args) == 0
    assert locked == [True, True]
    assert not is_locked(tmp_path / "run")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_run_with_all_its_steps_saved(folder: Path, tmp_path: Path, number: signal.Signals) -> None:
    recipe = tmp_path / "long.toml"
    recipe.write_text('name = "long"\npreset = "tiny"\n[[phases]]\nsteps = 100000\nbatch = 1\ncrop = 64\n')
    run = tmp_path / "run"
    words = ["lab", "train", str(recipe), "--pictures", str(folder), "--output", str(run), "--threads", "1"]
    script = f"trap '' INT; exec {sys.executable} -m manypath_cli {shlex.join(words)}"  # ignored as behind &
    with subprocess.Popen(["sh", "-c", script], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        deadline = time.monotonic() + 120
        while not (run / "curves.csv").exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        process.send_signal(number)
        said = process.stderr.read()
        assert process.wait() == 0, said
    match = re.search(r"interrupted: saved at step (\d+)", said)
    assert match is not None, said
    assert int(match[1]) == torch.load(run / "state.pt", weights_only=True)["step"] >= 100


def test_shipped_recipes_are_valid_and_unknown_keys_are_not(tmp_path: Path) -> None:
    for name in shipped():
        assert load_recipe(name).steps > 0
    file = tmp_path / "bad.toml"
    file.write_text('name = "x"\nlearning = 3\n[[phases]]\nsteps = 1\nbatch = 1\ncrop = 64\n')
    with pytest.raises(ConfigError, match="learning"):
        load_recipe(str(file))
    with pytest.raises(ConfigError, match="neither a file nor one of"):
        load_recipe("stage9")


def test_the_learning_rate_follows_the_phases() -> None:
    recipe = Recipe(
        name="x", warmup=0, phases=(Phase(steps=10, batch=1, crop=64), Phase(steps=10, batch=1, crop=128, rate=(1, 0)))
    )
    assert recipe.at(3) == (recipe.phases[0], 1.0)
    assert recipe.at(15) == (recipe.phases[1], 0.5)
    assert recipe.at(25)[1] == 0.0


def test_rate_weights_are_the_papers_and_geometric_between() -> None:
    weights = rate_weight(torch.tensor([0, 16, 32, 224]), PUBLISHED_RATE_WEIGHTS)
    assert torch.allclose(weights, torch.tensor([18.0, (18 * 9.32) ** 0.5, 9.32, 0.18]), rtol=1e-5)


def test_the_perceptual_term_is_zero_for_equal_pictures_and_grows() -> None:
    class Features(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
            return [x[:, :, ::2, ::2], torch.nn.functional.avg_pool2d(x, 4)]

    term = PerceptualTerm(Features())
    x = torch.rand(2, 16, 16, 3, generator=torch.Generator().manual_seed(1))
    assert float(term(x, x).abs().max()) == 0
    assert (term(x + 0.3 * torch.randn_like(x), x) > term(x + 0.03 * torch.randn_like(x), x)).all()
