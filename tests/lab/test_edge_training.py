"""What the edge model's training adds: Muon beside Adam, augmented crops, validation by rounding, float weights."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from manypath import checkpoint
from manypath.errors import CheckpointError
from manypath.families import PRESETS
from manypath.quality import LEVELS, QUALITY_STEPS
from manypath_lab.training.augmented import TOP_CODE, AugmentedPictures
from manypath_lab.training.data import PictureSet
from manypath_lab.training.drawn import KINDS, draw_picture, write_text
from manypath_lab.training.float_weights import fitted, save_weights, shipped
from manypath_lab.training.init import initialise
from manypath_lab.training.losses import seen_error, squared_error
from manypath_lab.training.optimisers import MuonAndAdam, is_matrix, make_optimiser
from manypath_lab.training.recipe import Augmentation, LearningRates, MuonRates, Recipe, load_recipe
from manypath_lab.training.run import autocasts
from manypath_lab.training.stage1 import Trainer, TrainingNetwork, kind_of
from manypath_lab.training.validation import SHOWN_LEVELS, columns, validate


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(4)
    for number in range(3):
        smooth = random.random((5, 6, 3))
        picture = Image.fromarray((smooth * 255).astype(np.uint8)).resize((320, 288), Image.Resampling.BICUBIC)
        picture.save(out / f"{number}.png")
    return out


def recipe(precision: str = "float32", steps: int = 4) -> Recipe:
    loaded = load_recipe("smoke", steps=steps, precision=precision, muon={"rate": 1e-3}, augmentation={})
    assert isinstance(loaded, Recipe)
    return loaded


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_run_with_muon_resumes_to_the_bit(folder: Path, tmp_path: Path, precision: str) -> None:
    pictures = PictureSet(folder, 64, quiet=True)
    straight = Trainer(recipe(precision), pictures, tmp_path / "straight")
    for _ in range(4):
        straight.train_step()
    first = Trainer(recipe(precision), pictures, tmp_path / "cut")
    first.folder.mkdir()
    for _ in range(2):
        first.train_step()
    first.save()
    second = Trainer(recipe(precision), pictures, tmp_path / "cut")
    assert second.resume()
    for _ in range(2):
        second.train_step()
    one, two = straight.network.state_dict(), second.network.state_dict()
    assert all(torch.equal(one[key], two[key]) for key in one)


def test_muon_takes_the_blocks_matrices_and_nothing_of_the_linear_start() -> None:
    network = TrainingNetwork(PRESETS["tiny"])
    taken = {name for name, parameter in network.named_parameters() if is_matrix(name, parameter)}
    assert "model.g_a.groups.0.blocks.0.main_mlp.expand.weight" in taken
    assert "model.h_a.down1.weight" in taken
    assert "model.context.steps.0.hidden.weight" in taken
    kept = ("g_a.embed", "g_a.merge", "g_s.split", "g_s.paint", "detail", "predictors", "spatial", "log2")
    assert not [name for name in taken if any(word in name for word in kept)]
    optimiser = make_optimiser(network, LearningRates(), MuonRates(rate=3e-4), kind_of)
    assert isinstance(optimiser, MuonAndAdam)
    bases = {group["kind"]: group["base"] for group in optimiser.param_groups}
    assert bases["muon"] == 3e-4
    assert bases["linear"] == LearningRates().linear


def test_a_step_of_muon_moves_matrices_and_convolutions_alike() -> None:
    network = TrainingNetwork(PRESETS["tiny"])
    optimiser = make_optimiser(network, LearningRates(), MuonRates(), kind_of)
    for group in optimiser.param_groups:
        group["lr"] = group["base"]
    before = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
    for parameter in network.parameters():
        if parameter.requires_grad:
            parameter.grad = torch.randn_like(parameter)
    optimiser.step()
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            assert not torch.equal(parameter, before[name]), name


def test_crops_of_the_top_levels_are_shrunk_and_drawn_ones_weigh_less(folder: Path) -> None:
    pictures = PictureSet(folder, 64, quiet=True)
    only_drawn = AugmentedPictures(pictures, Augmentation(drawn=1.0, drawn_weight=0.12))
    crops = only_drawn.crops(np.random.default_rng(1), torch.zeros(4, dtype=torch.int64), 64)
    assert crops.weight.tolist() == pytest.approx([0.12] * 4)
    none = Augmentation(shrunk=0, transposed=0, darkened=0, written=0, drawn=0)
    plain = AugmentedPictures(pictures, none)

    def roughness(code: int) -> float:
        x = plain.crops(np.random.default_rng(2), torch.full((64,), code), 64).x
        return float((x[:, 1:] - x[:, :-1]).abs().mean())

    assert roughness(TOP_CODE) > 1.25 * roughness(0)  # a shrunk smooth picture changes faster from pixel to pixel


def test_darkened_crops_are_darker(folder: Path) -> None:
    pictures = PictureSet(folder, 64, quiet=True)
    none = Augmentation(shrunk=0, transposed=0, darkened=0, written=0, drawn=0)
    dark = none.model_copy(update={"darkened": 1.0})
    codes = torch.zeros(16, dtype=torch.int64)
    both = (AugmentedPictures(pictures, shares) for shares in (none, dark))
    means = [float(made.crops(np.random.default_rng(3), codes, 64).x.mean()) for made in both]
    assert means[1] < 0.75 * means[0]


@pytest.mark.parametrize("number", range(len(KINDS)))
def test_every_kind_of_drawn_picture_has_its_shape_and_something_on_it(number: int) -> None:
    picture = KINDS[number](np.random.default_rng(number), 96)
    assert picture.shape == (96, 96, 3)
    assert picture.dtype == np.uint8
    assert picture.std() > 0


def test_text_is_written_into_a_picture_and_drawing_is_seeded() -> None:
    blank = np.zeros((64, 64, 3), dtype=np.uint8)
    assert any((write_text(np.random.default_rng(seed), blank) != blank).any() for seed in range(5))
    one, two = (draw_picture(np.random.default_rng(7), 64) for _ in range(2))
    assert (one == two).all()


def test_validation_is_by_rounding_and_higher_qualities_cost_more(folder: Path, tmp_path: Path) -> None:
    pictures = PictureSet(folder, 256, quiet=True)
    trainer = Trainer(recipe(), pictures, tmp_path)
    trainer.hold_out(folder)
    assert [tuple(x.shape) for x in trainer.held_out] == [(1, 256, 256, 3)] * 3
    found = trainer.judgement()
    assert tuple(found) == columns()
    assert found["bpp_q8"] > found["bpp_q1"] > 0
    again = validate(trainer.network.model, trainer.network.rate, trainer.held_out)
    assert len(again) == len(SHOWN_LEVELS)
    assert again == validate(trainer.network.model, trainer.network.rate, trainer.held_out)  # no noise


def test_float_weights_come_back_and_one_set_of_tables_serves_every_level(folder: Path, tmp_path: Path) -> None:
    pictures = PictureSet(folder, 64, quiet=True)
    trainer = Trainer(recipe(), pictures, tmp_path / "a")
    file = tmp_path / "weights.safetensors"
    file.write_bytes(save_weights(trainer.network))
    other = Trainer(recipe().model_copy(update={"seed": 9}), pictures, tmp_path / "b")
    initialise(other, file)
    ours, theirs = trainer.network.state_dict(), other.network.state_dict()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours if key.startswith("model."))
    tensors = load_file(file)
    tensors.pop("model.g_a.embed.weight")
    save_file(tensors, tmp_path / "short.safetensors")
    with pytest.raises(CheckpointError, match="missing"):
        initialise(other, tmp_path / "short.safetensors")
    levels = TrainingNetwork(PRESETS["edge"]).rate
    assert levels.hyper.channels == LEVELS * PRESETS["edge"].hyper_channels


def test_each_level_is_charged_by_its_own_tables() -> None:
    rate = TrainingNetwork(PRESETS["edge"]).rate
    with torch.no_grad():
        for bias in rate.hyper.biases:
            bias.view(LEVELS, -1)[3].add_(5.0)
    z = torch.zeros(2, 1, 1, PRESETS["edge"].hyper_channels)
    code = torch.tensor([0, 3 * QUALITY_STEPS])
    bits = rate.hyper_bits(z, code, rounded=True)
    assert bits[1] > 1.5 * bits[0]


def test_errors_in_the_dark_and_blotches_weigh_more() -> None:
    x = torch.cat((torch.full((1, 32, 32, 3), 0.05), torch.full((1, 32, 32, 3), 0.9)))
    blotch = torch.zeros(2, 32, 32, 3)
    blotch[:, :8, :8] = 0.02
    grain = 0.02 * (torch.rand(2, 32, 32, 3, generator=torch.Generator().manual_seed(1)) - 0.5).sign() / 4.0
    error = squared_error(x + blotch, x)
    seen = seen_error(x + blotch, x, error, 0.5, 0.0)
    assert seen[0] > 1.5 * error[0] > error[1] > seen[1]
    blotchy = seen_error(x + blotch, x, squared_error(x + blotch, x), 0.0, 1.0)
    grainy = seen_error(x + grain, x, squared_error(x + grain, x), 0.0, 1.0)
    assert float((blotchy / squared_error(x + blotch, x))[0]) > 1.5 * float((grainy / squared_error(x + grain, x))[0])


def test_the_precision_is_the_recipes() -> None:
    cpu = torch.device("cpu")
    assert autocasts("bfloat16", cpu)
    assert not autocasts("float32", cpu)
    assert autocasts("auto", torch.device("cuda"))


def test_training_goes_on_from_the_shipped_models_float_weights() -> None:
    file = shipped("edge")
    assert file is not None
    tensors = fitted(TrainingNetwork(PRESETS["edge"]), file)
    released = checkpoint.load("edge").model.state_dict()
    for name in ("g_a.embed.weight", "g_s.paint.weight"):
        assert torch.allclose(tensors[f"model.{name}"].float(), released[name].float(), atol=1e-3)
    assert shipped("abacus") is None


def test_a_step_from_the_shipped_float_weights_is_finite(folder: Path, tmp_path: Path) -> None:
    recipe = load_recipe("smoke", preset="edge", batch=1, precision="float32")
    assert isinstance(recipe, Recipe)
    trainer = Trainer(recipe, PictureSet(folder, 64, quiet=True), tmp_path)
    initialise(trainer, Path("edge"))
    step = trainer.train_step()
    assert 0 < step["bpp"] < 4
    assert np.isfinite(step["loss"])
    assert step["gradient"] > 0
