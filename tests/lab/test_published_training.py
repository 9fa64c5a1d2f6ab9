"""Training the published network: from its own random start, to a model file that codes pictures as it was trained."""

from pathlib import Path

import numpy as np
import pytest
import torch

from manypath import checkpoint
from manypath.codec import Codec
from manypath.config import PUBLISHED_RATE_WEIGHTS
from manypath.entropy.rounding import clamp_through
from manypath.errors import CheckpointError, ConfigError
from manypath.image import to_image, to_tensor
from manypath.tinylic.context import SliceNetwork
from manypath.tinylic.prior import FactorizedPrior
from manypath_cli.main import main
from manypath_lab.training import sides
from manypath_lab.training.data import PictureSet
from manypath_lab.training.export import export_run, load_average
from manypath_lab.training.losses import balance
from manypath_lab.training.recipe import GanRecipe, LearningRates, Loss, Phase, Recipe, SideRecipe, load_recipe
from manypath_lab.training.stage1 import Trainer
from manypath_lab.training.stage2 import SideTrainer
from tests.codec.conftest import photo

QUICK = LearningRates(transforms=2e-3, entropy=2e-3, tables=5e-3)
LOSS = Loss(ratio=10.0, balanced=False)
RECIPE = Recipe(
    name="t",
    preset="tinylic-tiny",
    warmup=0,
    ema=0.0,
    learning_rates=QUICK,
    loss=LOSS,
    phases=(Phase(steps=10, batch=2, crop=64),),
)


@pytest.fixture(scope="module")
def finished(photos: PictureSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("run")
    Trainer(RECIPE, photos, run).run(report_every=4)
    return run


def on_fixed_crops(trainer: Trainer) -> float:
    trainer.random = np.random.default_rng(9)
    torch.manual_seed(9)
    with torch.no_grad():
        return float(torch.cat([trainer.forward_pass().loss for _ in range(3)]).mean())


def test_the_loss_falls_from_the_published_random_start(photos: PictureSet, tmp_path: Path, finished: Path) -> None:
    begun, ended = Trainer(RECIPE, photos, tmp_path), Trainer(RECIPE, photos, finished)
    assert ended.resume()
    assert on_fixed_crops(ended) < 0.7 * on_fixed_crops(begun)  # measured: 0.31


def test_a_run_resumes_to_the_step(photos: PictureSet, finished: Path, tmp_path: Path) -> None:
    first = Trainer(RECIPE, photos, tmp_path)
    for _ in range(6):
        first.train_step()
    first.save()
    second = Trainer(RECIPE, photos, tmp_path)
    assert second.resume()
    second.run()
    interrupted, whole = load_average(tmp_path)[0].state_dict(), load_average(finished)[0].state_dict()
    assert all(torch.equal(value, interrupted[name]) for name, value in whole.items())


def test_what_is_exported_codes_as_it_was_trained(finished: Path, tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    assert main(["models", "export", str(finished), "-o", str(file)]) == 0
    codec = Codec.load(file)
    image = photo(64, 128, 9)
    stream = codec.encode(image, quality=5.5)
    network, _, _ = load_average(finished)
    with torch.no_grad():
        made = network.model(to_tensor(image), torch.tensor([144]))
    difference = codec.decode(stream).astype(int) - to_image(made.x_hat[0])
    assert int(np.abs(difference).max()) <= 1  # single precision, another order of operations
    prior = network.prior
    assert prior is not None
    released = checkpoint.load(file)
    assert np.array_equal(released.hyper_tables.cdf, prior.tables().cdf)


def test_quantiles_settle_where_the_distribution_has_them() -> None:
    torch.manual_seed(4)
    prior = FactorizedPrior(5)
    with torch.no_grad():
        for bias in prior.biases:
            bias.normal_(0, 3.0)
    prior.settle()
    reached = torch.sigmoid(prior.logits(prior.quantiles[:, 0].detach()).double())
    assert torch.allclose(reached[:, 1], torch.tensor(0.5, dtype=torch.float64), atol=1e-3)
    assert torch.allclose(reached[:, 0], torch.tensor(5e-10, dtype=torch.float64), rtol=0.05, atol=0)
    assert float(prior.medians.detach().abs().max()) > 1.0  # they had somewhere to go


def test_a_bound_lets_a_gradient_back_in_and_none_further_out() -> None:
    x = torch.tensor([-1.0, -1.0, 5.0, 0.5], requires_grad=True)
    (clamp_through(x, 0.11, 2.0) * torch.tensor([1.0, -1.0, -1.0, 3.0])).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0.0, -1.0, 0.0, 3.0]


def test_the_rate_reaches_every_part_that_decides_it(photos: PictureSet, tmp_path: Path) -> None:
    trainer = Trainer(RECIPE, photos, tmp_path)
    trainer.forward_pass().bpp.sum().backward()
    network = trainer.network.model.context.slices[0]
    assert isinstance(network, SliceNetwork)
    gradient = network.output.weight.grad
    assert gradient is not None
    assert bool(gradient[: network.width].any())  # scales, though most begin below the smallest
    assert bool(gradient[network.width :].any())
    assert bool(trainer.network.model.gain.log2.grad.any())  # type: ignore[union-attr]


def test_unbalanced_losses_are_the_published_ones() -> None:
    code = torch.tensor([0, 224])
    assert balance(code, PUBLISHED_RATE_WEIGHTS, balanced=False).tolist() == [1.0, 1.0]
    assert balance(code, PUBLISHED_RATE_WEIGHTS)[0] < balance(code, PUBLISHED_RATE_WEIGHTS)[1]


@pytest.mark.parametrize("shape", ["inverted", "bottleneck", "adapter"])
def test_a_new_side_begins_near_the_main_path(
    shape: str, finished: Path, photos: PictureSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("manypath_lab.training.side_init.PIXELS", 4 * 64 * 64)
    file = tmp_path / "model.safetensors"
    file.write_bytes(export_run(finished))
    recipe = SideRecipe(name="t", path="mse", shape=shape, phases=RECIPE.phases)
    trainer = SideTrainer(recipe, sides.read(file), photos, tmp_path)
    block = trainer.model.g_s.groups[2].blocks[0]  # type: ignore[union-attr, index]
    x = torch.randn(500, 16, generator=torch.Generator().manual_seed(1))
    main_out = block.main_mlp(x)
    side_out = block.side_mlps["mse"](x) + (main_out if shape == "adapter" else 0)
    relative = float(((main_out - side_out).norm() / main_out.norm()).detach())
    assert relative < {"inverted": 0.1, "bottleneck": 0.9, "adapter": 1e-6}[shape]


def test_shipped_recipes_are_the_papers() -> None:
    stage1, gan = load_recipe("tinylic_stage1"), load_recipe("tinylic_stage1_gan")
    assert isinstance(stage1, Recipe)
    assert isinstance(gan, GanRecipe)
    assert (stage1.steps, gan.steps, gan.gan.weight) == (1_500_000, 1_500_000, 2.56)
    for recipe in (stage1, gan):
        assert (recipe.preset, recipe.loss.ratio, recipe.loss.balanced, recipe.clip) == ("tinylic", 10.0, False, 1.0)
        assert recipe.at(recipe.warmup)[1] == 1.0
        assert recipe.at(recipe.steps - 1)[1] == 0.1
    for name, shape in (("mse", "inverted"), ("cls", "bottleneck"), ("seg", "bottleneck")):
        side = load_recipe(f"tinylic_stage2_{name}")
        assert isinstance(side, SideRecipe)
        assert (side.shape, side.steps, side.loss.ratio, side.loss.balanced) == (shape, 500_000, 10.0, False)


def test_a_recipe_is_shortened_and_made_smaller_phase_by_phase() -> None:
    recipe = load_recipe("tinylic_stage1", steps=8, batch=1, crop=64, preset="tinylic-tiny")
    assert [(phase.steps, phase.batch, phase.crop, phase.rate[0]) for phase in recipe.phases] == [
        (6, 1, 64, 1.0),
        (2, 1, 64, 0.1),
    ]
    assert len(load_recipe("tinylic_stage1", steps=1).phases) == 1
    for change, word in (({"steps": 0}, "steps"), ({"crop": 65}, "64"), ({"batch": 0}, "batch")):
        with pytest.raises(ConfigError, match=word):
            load_recipe("tinylic_stage1", **change)  # type: ignore[arg-type]


def test_the_features_of_the_perceptual_term_can_be_another_networks(photos: PictureSet, tmp_path: Path) -> None:
    loss = Loss(perceptual=1.0, features=f"{__name__}:two_maps")
    phase = Phase(steps=1, batch=1, crop=64, perceptual=True)
    trainer = Trainer(RECIPE.model_copy(update={"loss": loss, "phases": (phase,)}), photos, tmp_path)
    assert trainer.perceptual is not None
    assert isinstance(trainer.perceptual.features, TwoMaps)
    with pytest.raises(ConfigError, match="PYTHONPATH"):
        Trainer(
            RECIPE.model_copy(update={"loss": Loss(perceptual=1, features="no:f"), "phases": (phase,)}),
            photos,
            tmp_path,
        )


class TwoMaps(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        return [x[:, :, ::2, ::2], torch.nn.functional.avg_pool2d(x, 4)]


def two_maps() -> torch.nn.Module:
    return TwoMaps()


def test_a_sides_run_is_no_main_models(tmp_path: Path) -> None:
    recipe = SideRecipe(name="t", path="mse", phases=RECIPE.phases)
    (tmp_path / "recipe.json").write_text(recipe.model_dump_json())
    with pytest.raises(CheckpointError, match="side path"):
        load_average(tmp_path)
