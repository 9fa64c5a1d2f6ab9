"""The mistakes of the published training scripts, one test each: none of them may come back.

Both families are trained by the same code; the tests use the published network's small sister, and the edge family's
where the two differ.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from manypath import checkpoint
from manypath.codec import Codec
from manypath.image import to_image
from manypath.multipath import blocks
from manypath.multipath.blocks import Block
from manypath.multipath.routing import Scope, route, soft_mask
from manypath.network import Latents, Network
from manypath.quality import QUALITY_STEPS
from manypath.testing import random_model
from manypath.tinylic.config import TINYLIC_TINY
from manypath_lab.evaluation.judges.fidelity import psnr
from manypath_lab.training import sides
from manypath_lab.training.data import PictureSet
from manypath_lab.training.gan import GanTrainer
from manypath_lab.training.losses import PerceptualTerm
from manypath_lab.training.recipe import Gan, GanRecipe, LearningRates, Loss, Phase, Recipe, SideLoss, SideRecipe
from manypath_lab.training.stage1 import Trainer
from manypath_lab.training.stage2 import SideTrainer
from tests.codec.conftest import photo

PRESET = "tinylic-tiny"
PHASES = (Phase(steps=4, batch=2, crop=64, perceptual=True),)
MAIN = Recipe(name="m", preset=PRESET, warmup=0, ema=0.0, loss=Loss(ratio=10.0, balanced=False), phases=PHASES)
SIDE = SideRecipe(
    name="s", path="mse", shape="bottleneck", all_side=0.0, noise=1.0, loss=SideLoss(balanced=False), phases=PHASES
)


@pytest.fixture(scope="module")
def start() -> sides.ModelFile:
    """A published network without sides, untrained but with scales that fit."""
    made = random_model(PRESET, seed=3)
    return sides.ModelFile(TINYLIC_TINY, checkpoint.export(made.model, made.hyper_tables))


@pytest.fixture
def side(start: sides.ModelFile, photos: PictureSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SideTrainer:
    monkeypatch.setattr("manypath_lab.training.side_init.PIXELS", 4 * 64 * 64)
    return SideTrainer(SIDE, start, photos, tmp_path)


def snapshot(module: torch.nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def unchanged(module: torch.nn.Module, before: dict[str, Tensor]) -> bool:
    return all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_frozen_parameters_have_no_gradient_and_do_not_enter_the_clipping(side: SideTrainer) -> None:
    frozen = [parameter for parameter in side.model.parameters() if not parameter.requires_grad]
    own = list(side.side.parameters())
    assert len(frozen) > len(own) > 0
    frozen[0].grad = torch.full_like(frozen[0], 1e6)  # a stale one, as the published scripts leave behind
    clipped: list[float] = []
    step = side.optimizer.step

    def look(*args: object, **kwargs: object) -> object:
        gradients = [parameter.grad for parameter in own if parameter.grad is not None]
        clipped.append(float(torch.cat([gradient.flatten() for gradient in gradients]).norm()))
        return step(*args, **kwargs)  # type: ignore[arg-type]

    side.optimizer.step = look  # type: ignore[method-assign, assignment]
    told = side.train_step()["gradient"]
    assert clipped[0] == pytest.approx(min(told, SIDE.clip), rel=1e-3)
    assert all(parameter.grad is None for parameter in frozen[1:])


def test_stage_2_has_no_rate_and_computes_no_perceptual_network_without_its_weight(
    start: sides.ModelFile, photos: PictureSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_args: object) -> PerceptualTerm:
        raise AssertionError("a perceptual network was made for a weight of zero")

    monkeypatch.setattr(PerceptualTerm, "on", never)
    monkeypatch.setattr("manypath_lab.training.side_init.PIXELS", 4 * 64 * 64)
    rates: list[object] = []
    latents = Network.latents

    def look(self: Network, x: Tensor, code: Tensor, rate: object = None, noise: float = 0.0) -> Latents:
        rates.append(rate)
        return latents(self, x, code, None, noise)

    monkeypatch.setattr(Network, "latents", look)
    loss = SideLoss(balanced=False, ratio=0.0)
    trainer = SideTrainer(SIDE.model_copy(update={"loss": loss, "phases": (PHASES[0],)}), start, photos, tmp_path)
    rates.clear()  # the side's start looks at pictures too
    made = trainer.train_step()
    assert rates == [None]
    error = 255.0**2 / 10 ** (made["psnr"] / 10)  # of two pictures: the mean of decibels is below the mean error's
    assert made["loss"] >= 0.01 * error * 0.999
    assert made["perceptual"] == 0.0


def test_stage_2_sees_the_latents_that_a_decoder_will_see(
    units: bool, side: SideTrainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert side.autocast == units
    assert not any(module.training for module in side.model.modules())
    seen: list[tuple[Tensor, Tensor, Tensor]] = []
    latents = Network.latents

    def look(self: Network, x: Tensor, code: Tensor, rate: None = None, noise: float = 0.0) -> Latents:
        assert noise == 0.0
        made = latents(self, x, code, rate, noise)
        seen.append((x, code, made.y_hat))
        return made

    monkeypatch.setattr(Network, "latents", look)
    side.train_step()
    ((x, code, y_hat),) = seen
    torch.manual_seed(99)  # whatever the generators say
    with torch.inference_mode():
        for number in range(len(x)):
            own = slice(number, number + 1)
            routing = side.model.analysis_routing(code[own], exact=True)
            y = side.model.g_a(x[own], code[own], routing)
            assert torch.allclose(latents(side.model, x[own], code[own]).y, y, atol=1e-5)
        assert torch.equal(latents(side.model, x, code).y_hat, y_hat)


def test_quantiles_have_no_gradient_that_could_share_the_clip_norm(photos: PictureSet, tmp_path: Path) -> None:
    trainer = Trainer(MAIN.model_copy(update={"learning_rates": LearningRates(entropy=0.02)}), photos, tmp_path)
    prior = trainer.network.prior
    assert prior is not None
    in_optimiser = {id(p) for group in trainer.optimizer.param_groups for p in group["params"]}
    assert id(prior.quantiles) not in in_optimiser
    begun = prior.medians.detach().clone()
    for _ in range(3):
        trainer.train_step()
    assert prior.quantiles.grad is None
    assert torch.equal(prior.medians, begun)
    trainer.step = 50
    trainer.settle()
    assert not torch.equal(prior.medians, begun)  # they follow, without learning
    with torch.no_grad():
        assert float(prior.logits(prior.medians[:, None]).abs().max()) < 1e-3


def test_the_discriminators_step_computes_and_changes_nothing_in_the_codec(photos: PictureSet, tmp_path: Path) -> None:
    recipe = GanRecipe(name="g", preset=PRESET, warmup=0, ema=0.0, gan=Gan(weight=1.0, width=8), phases=PHASES)
    trainer = GanTrainer(recipe, photos, tmp_path)
    made = trainer.forward_pass()
    codec, judge = snapshot(trainer.network), snapshot(trainer.discriminator)
    trainer.step_of_discriminator(made)
    assert unchanged(trainer.network, codec)
    assert all(parameter.grad is None for parameter in trainer.network.parameters())
    assert not unchanged(trainer.discriminator, judge)
    judge = snapshot(trainer.discriminator)
    weights = [parameter.grad.clone() for parameter in trainer.discriminator.parameters() if parameter.grad is not None]
    trainer.descend(trainer.judge_frozen(made).mean())
    assert unchanged(trainer.discriminator, judge)
    left = [parameter.grad for parameter in trainer.discriminator.parameters() if parameter.grad is not None]
    assert all(torch.equal(one, other) for one, other in zip(weights, left, strict=True))
    assert not unchanged(trainer.network, codec)


def test_codec_and_discriminator_learn_at_every_step_from_the_same_pictures_and_qualities(
    photos: PictureSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = GanRecipe(name="g", preset=PRESET, warmup=0, ema=0.0, gan=Gan(weight=1.0, width=8), phases=PHASES)
    trainer = GanTrainer(recipe, photos, tmp_path)
    asked: list[tuple[Tensor, Tensor]] = []
    trainer.discriminator.register_forward_pre_hook(lambda _module, given: asked.append(given[1:]))
    drawn: list[int] = []
    crops = photos.crops
    monkeypatch.setattr(photos, "crops", lambda *args: drawn.append(1) or crops(*args))  # type: ignore[func-returns-value]
    for number in range(1, 4):
        codec, judge = snapshot(trainer.network), snapshot(trainer.discriminator)
        trainer.train_step()
        assert not unchanged(trainer.network, codec)
        assert not unchanged(trainer.discriminator, judge)
        assert len(drawn) == number
    for number in range(0, len(asked), 3):  # originals, reconstructions, and reconstructions for the codec
        latents, codes = zip(*asked[number : number + 3], strict=True)
        assert all(torch.equal(latents[0], other) for other in latents)
        assert all(torch.equal(codes[0], other) for other in codes)


@pytest.mark.parametrize("preset", ["tiny", PRESET])
def test_looking_at_a_run_draws_nothing_at_random(preset: str, photos: PictureSet, tmp_path: Path) -> None:
    trainer = Trainer(MAIN.model_copy(update={"preset": preset}), photos, tmp_path)
    sheets = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        before = torch.get_rng_state(), str(trainer.random.bit_generator.state)
        trainer.sample()
        assert torch.equal(before[0], torch.get_rng_state())
        assert before[1] == str(trainer.random.bit_generator.state)
        sheets.append((tmp_path / "samples" / "0000000.png").read_bytes())
    assert sheets[0] == sheets[1]


def test_the_loss_that_a_run_reports_leaves_the_adversarial_term_out(photos: PictureSet, tmp_path: Path) -> None:
    reported = []
    for weight in (1.0, 1000.0):
        gan = Gan(weight=weight, width=8)
        recipe = GanRecipe(name="g", preset=PRESET, warmup=0, ema=0.0, gan=gan, phases=PHASES)
        reported.append(GanTrainer(recipe, photos, tmp_path).train_step())
    assert reported[0]["loss"] == reported[1]["loss"]
    assert reported[0]["gradient"] != reported[1]["gradient"]


def test_a_perceptual_distance_has_no_jitter_even_in_training() -> None:
    class Features(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.drop = torch.nn.Dropout(0.5)

        def forward(self, x: Tensor) -> list[Tensor]:
            return [self.drop(x)]

    term = PerceptualTerm(Features())
    x = torch.rand(2, 32, 32, 3, generator=torch.Generator().manual_seed(0))
    distances = [term(x.flip(1), x) for _ in range(2)]
    assert torch.equal(distances[0], distances[1])
    assert float(term(x, x).abs().max()) == 0.0


@pytest.mark.parametrize("scope", list(Scope))
def test_training_sends_as_many_tokens_to_the_main_path_as_the_codec_does(scope: Scope) -> None:
    generator = torch.Generator().manual_seed(2)
    for share in (0.0, 0.0646, 0.3771, 0.7432, 1.0):
        easy, hard = torch.randn(2, 1, 16, 24, generator=generator) + torch.tensor([4.0, -4.0])[:, None, None, None]
        for importance in (easy, hard):  # a threshold would send most of the one and few of the other
            noise = torch.randn(importance.shape, generator=generator)
            mask, _ = soft_mask(importance, torch.tensor([share]), torch.zeros(1), noise, scope)
            assert int(mask.round().sum()) == len(route(importance, share, scope).main)


def test_a_training_pass_routes_every_group_of_the_network_by_the_exact_share(
    photos: PictureSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = Trainer(MAIN, photos, tmp_path)
    masks: list[Tensor] = []
    blended = Block.blended

    def look(self: Block, x: Tensor, code: Tensor, name: str, mask: Tensor, *planes: Tensor | None) -> Tensor:
        masks.append(mask.detach().round())
        return blended(self, x, code, name, mask, *planes)

    monkeypatch.setattr(Block, "blended", look)
    made = trainer.forward_pass()
    shares = trainer.network.model.analysis_routing(made.code, exact=False).share
    assert len(masks) == 3
    for mask in masks:
        tokens = mask.shape[1] * mask.shape[2]
        assert mask.sum((1, 2, 3)).tolist() == [int(tokens * float(share)) for share in shares]


def test_qualities_between_levels_are_trained(photos: PictureSet, tmp_path: Path) -> None:
    trainer = Trainer(MAIN, photos, tmp_path)
    codes = torch.cat([trainer.forward_pass().code for _ in range(6)])
    assert bool((codes % QUALITY_STEPS).any())
    trainer = Trainer(MAIN.model_copy(update={"fractions": 0.0}), photos, tmp_path)
    assert not bool((torch.cat([trainer.forward_pass().code for _ in range(3)]) % QUALITY_STEPS).any())


@pytest.mark.parametrize("preset", ["tiny", PRESET])
def test_qualities_between_levels_work_without_sides_and_in_evaluation_mode(preset: str) -> None:
    model = random_model(preset, seed=1).model
    assert not model.training
    x = torch.from_numpy(photo(64, 64)).float()[None] / 255
    with torch.no_grad():
        low, between, high = (model(x, torch.tensor([code])).y_hat.square().mean() for code in (96, 112, 128))
    assert low < between < high  # gains grow with the quality


@pytest.mark.parametrize("preset", ["tiny", PRESET])
def test_a_saved_picture_has_the_psnr_that_is_reported(preset: str, tmp_path: Path) -> None:
    image = photo(64, 96, 2)
    codec = Codec.load(f"{preset}-random")
    decoded = codec.decode(codec.encode(image, quality=8))
    Image.fromarray(decoded).save(tmp_path / "decoded.png")
    saved = np.asarray(Image.open(tmp_path / "decoded.png"))
    reported = psnr(image, decoded)
    assert psnr(image, saved) == reported
    by_hand = 10 * np.log10(255**2 / np.mean((saved.astype(float) - image) ** 2))
    assert reported == pytest.approx(by_hand, abs=1e-9)


def test_pictures_are_rounded_and_not_cut_off() -> None:
    levels = (torch.arange(256)[:, None, None] + torch.tensor([-0.4, 0.0, 0.4])) / 255  # [256, 1, 3]
    assert np.array_equal(to_image(levels)[:, 0], np.arange(256)[:, None].repeat(3, 1))
    assert to_image(torch.tensor([[[-0.2, 1.2, 0.5]]])).tolist() == [[[0, 255, 128]]]


def test_stage_2_explores_in_the_synthesis_alone(side: SideTrainer, monkeypatch: pytest.MonkeyPatch) -> None:
    explored: list[torch.Size] = []
    logistic = blocks.logistic_noise

    def look(like: Tensor) -> Tensor:
        explored.append(like.shape)
        return logistic(like)

    monkeypatch.setattr(blocks, "logistic_noise", look)
    side.train_step()
    assert [shape[1] for shape in explored] == [8, 16, 32]  # g_s from coarse to fine; g_a goes from 32 to 8
