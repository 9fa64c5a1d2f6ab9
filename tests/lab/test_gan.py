"""The discriminator beside stage 1: who learns from what, where a run starts, what becomes of the streams."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from manypath.codec import Codec
from manypath.errors import CheckpointError, ConfigError
from manypath_cli.main import main
from manypath_lab.training.data import PictureSet
from manypath_lab.training.discriminator import Discriminator, level_blend
from manypath_lab.training.export import export_run
from manypath_lab.training.gan import GanTrainer, discriminator_loss, generator_loss
from manypath_lab.training.init import initialise
from manypath_lab.training.recipe import Gan, GanRecipe, Loss, Phase, Recipe
from manypath_lab.training.stage1 import Pass, Trainer
from tests.codec.conftest import photo

PHASES = (Phase(steps=4, batch=2, crop=64),)
GAN = Gan(weight=1.0, rate=1e-3, width=8)
SHARED = ("g_a", "h_a", "h_s", "context", "gain", "hyper_gain", "rate")


def gan_recipe(preset: str, freeze: tuple[str, ...] = ()) -> GanRecipe:
    return GanRecipe(name="g", preset=preset, freeze=freeze, warmup=0, ema=0.5, gan=GAN, phases=PHASES)


@pytest.fixture(scope="module")
def stage1_runs(photos: PictureSet, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Stage-1 runs by preset."""
    runs = {}
    for preset in ("tiny", "tinylic-tiny"):
        runs[preset] = tmp_path_factory.mktemp(preset)
        Trainer(Recipe(name="m", preset=preset, warmup=0, ema=0.5, phases=PHASES), photos, runs[preset]).run()
    return runs


def test_a_quality_is_a_blend_of_its_two_levels() -> None:
    blend = level_blend(torch.tensor([0, 8, 64, 224]))
    assert torch.equal(blend.sum(1), torch.ones(4))
    assert blend[0].tolist() == [1.0] + [0.0] * 7
    assert blend[1, :2].tolist() == [0.75, 0.25]
    assert blend[2, 2] == blend[3, 7] == 1.0


def test_one_discriminator_has_the_size_of_a_published_copy_and_eight_more_inputs() -> None:
    made = Discriminator(320, 64)
    assert sum(parameter.numel() for parameter in made.parameters()) == 2_803_917 + 8 * 64 * 16


def test_its_convolutions_amplify_nothing() -> None:
    torch.manual_seed(0)
    made = Discriminator(8, 8)
    x, y_hat, code = torch.rand(1, 64, 64, 3), torch.randn(1, 4, 4, 8), torch.tensor([5])
    for _ in range(30):
        logits = made(x, y_hat, code)
    assert logits.shape == (1, 16)
    for layer in made.layers:
        assert float(torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2)) == pytest.approx(1.0, abs=0.05)  # type: ignore[operator, union-attr]


def test_its_answer_depends_on_picture_latent_and_quality() -> None:
    torch.manual_seed(0)
    made = Discriminator(8, 8).eval()
    x, y_hat, code = torch.rand(1, 64, 64, 3), torch.randn(1, 4, 4, 8), torch.tensor([5])
    answers = [made(x, y_hat, code), made(1 - x, y_hat, code), made(x, -y_hat, code), made(x, y_hat, code + 99)]
    assert all(not torch.equal(answers[0], other) for other in answers[1:])


def test_undecided_answers_cost_what_the_formulas_say() -> None:
    undecided = torch.zeros(2, 9)
    assert generator_loss(undecided).tolist() == pytest.approx([math.log(2)] * 2)
    assert discriminator_loss(undecided, undecided).tolist() == pytest.approx([2 * math.log(2)] * 2)
    assert float(generator_loss(undecided - 20)[0]) == pytest.approx(
        20, rel=1e-3
    )  # does not saturate where it is found out


def test_it_learns_to_tell_and_its_gradient_leads_pictures_towards_originals(
    stage1_runs: dict[str, Path], photos: PictureSet, tmp_path: Path
) -> None:
    trainer = GanTrainer(gan_recipe("tinylic-tiny"), photos, tmp_path)
    initialise(trainer, stage1_runs["tinylic-tiny"])
    with torch.no_grad():
        made = trainer.forward_pass()
    losses = [trainer.step_of_discriminator(made) for _ in range(30)]
    assert losses[-1] < 0.8 * losses[0]
    x_hat = made.x_hat.clone().requires_grad_(True)
    fooled = generator_loss(trainer.judge_frozen(made._replace(x_hat=x_hat))).mean()
    (gradient,) = torch.autograd.grad(fooled, x_hat)
    nearer = made._replace(x_hat=x_hat.detach() - 1e-2 * gradient / gradient.norm())
    assert float(generator_loss(trainer.judge_frozen(nearer)).mean()) < float(fooled.detach())


def test_a_run_starts_from_stage_1_resumes_to_the_step_and_is_exported(
    stage1_runs: dict[str, Path], photos: PictureSet, tmp_path: Path
) -> None:
    preset = "tinylic-tiny"
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    first = GanTrainer(gan_recipe(preset), photos, whole)
    initialise(first, stage1_runs[preset])
    average = torch.load(stage1_runs[preset] / "state.pt", weights_only=True)["average"]
    assert all(torch.equal(average[f"module.{key}"], value) for key, value in first.network.state_dict().items())
    first.run()
    again = GanTrainer(gan_recipe(preset), photos, parts)
    initialise(again, stage1_runs[preset])
    for _ in range(2):
        again.train_step()
    parts.mkdir()
    again.save()
    resumed = GanTrainer(gan_recipe(preset), photos, parts)
    assert resumed.resume()
    assert resumed.step == 2
    resumed.run()
    for one, other in ((first.network, resumed.network), (first.discriminator, resumed.discriminator)):
        state = other.state_dict()
        assert all(torch.equal(value, state[name]) for name, value in one.state_dict().items())
    file = tmp_path / "gan.safetensors"
    file.write_bytes(export_run(whole))
    codec = Codec.load(file)
    assert codec.decode(codec.encode(photo(70, 90), quality=3)).shape == (70, 90, 3)


@pytest.mark.usefixtures("units")
@pytest.mark.parametrize("preset", ["tiny", "tinylic-tiny"])
def test_where_only_the_decoder_learns_streams_stay_valid(
    preset: str, stage1_runs: dict[str, Path], photos: PictureSet, tmp_path: Path
) -> None:
    trainer = GanTrainer(gan_recipe(preset, SHARED), photos, tmp_path)
    initialise(trainer, stage1_runs[preset])
    assert not trainer.stream_learns
    trainer.run()
    files = [tmp_path / "before.safetensors", tmp_path / "after.safetensors"]
    for file, run in zip(files, (stage1_runs[preset], tmp_path), strict=True):
        file.write_bytes(export_run(run))
    before, after = (Codec.load(file) for file in files)
    assert before.model_digest == after.model_digest
    image = photo(70, 90, 3)
    stream = before.encode(image, quality=6)
    assert stream == after.encode(image, quality=6)
    assert not np.array_equal(before.decode(stream), after.decode(stream))


@pytest.mark.parametrize("preset", ["tiny", "tinylic-tiny"])
def test_where_only_the_decoder_learns_it_sees_the_latents_of_streams(
    preset: str, units: bool, stage1_runs: dict[str, Path], photos: PictureSet, tmp_path: Path
) -> None:
    trainer = GanTrainer(gan_recipe(preset, SHARED), photos, tmp_path)
    initialise(trainer, stage1_runs[preset])
    assert trainer.autocast == units
    step = trainer.forward_pass()
    with torch.inference_mode():
        assert torch.equal(trainer.network.model.latents(step.x, step.code).y_hat, step.y_hat)


def test_a_loss_without_a_learning_stream_has_no_rate(
    stage1_runs: dict[str, Path], photos: PictureSet, tmp_path: Path
) -> None:
    recipe = gan_recipe("tiny", SHARED).model_copy(update={"loss": Loss(balanced=False)})
    trainer = GanTrainer(recipe, photos, tmp_path)
    initialise(trainer, stage1_runs["tiny"])
    made: Pass = trainer.forward_pass()
    assert torch.allclose(made.loss, 0.01 * made.error)
    assert not made.bpp.requires_grad
    assert not made.y_hat.requires_grad


def test_what_cannot_be_is_refused_in_words(
    stage1_runs: dict[str, Path], photos: PictureSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ConfigError, match="g_z"):
        Trainer(Recipe(name="t", preset="tiny", freeze=("g_z",), phases=PHASES), photos, tmp_path)
    trainer = GanTrainer(gan_recipe("tinylic-tiny"), photos, tmp_path)
    with pytest.raises(CheckpointError, match="another preset"):
        initialise(trainer, stage1_runs["tiny"])
    from PIL import Image

    Image.fromarray(photo(64, 64, 1)).save(tmp_path / "1.png")
    asked = ["lab", "train", "tinylic_stage1_gan", "--preset", "tinylic-tiny", "--crop", "64", "--steps", "2"]
    assert main([*asked, "--pictures", str(tmp_path), "--output", str(tmp_path / "run")]) != 0
    assert "--init" in capsys.readouterr().err
