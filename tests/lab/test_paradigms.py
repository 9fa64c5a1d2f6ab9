"""Ways to serve a task: where each begins, what of it learns, what it adds; all see the same batches."""

import csv
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.paradigms import __main__ as command
from benchmarks.paradigms import measure, table
from benchmarks.paradigms.experts import GatedExperts
from benchmarks.paradigms.hyper_rate import HyperRate, code_length_rows
from benchmarks.paradigms.low_rank import decoder_layers
from benchmarks.paradigms.paradigm import Paradigm, without_sides
from benchmarks.paradigms.trainer import ParadigmTrainer, all_side, batch_of
from benchmarks.paradigms.variants import Variant, build, parse
from manypath import checkpoint
from manypath.edge.config import EdgeConfig
from manypath.entropy.tables import PROBABILITY_BITS
from manypath.errors import CheckpointError, ConfigError
from manypath.testing import random_model
from manypath_lab.profile import count as profile
from manypath_lab.training import side_init as side_start
from manypath_lab.training import sides
from manypath_lab.training.data import PictureSet
from manypath_lab.training.recipe import Phase, SideRecipe
from manypath_lab.training.side_loss import SideLossTerms
from tests.codec.conftest import photo

CPU = torch.device("cpu")
RECIPE = SideRecipe(
    name="t", path="mse", warmup=0, ema=0.0, all_side=0.5, phases=(Phase(steps=2, batch=2, crop=64),), zoom_out=1.0
)
ADDING = ("side-adapter", "lora-2", "experts-2-adapter", "own-decoder")  # begin at the main path to rounding
IMITATING = ("side-bottleneck", "experts-1-bottleneck")
ALL = (*ADDING, *IMITATING, "own-pair")


@pytest.fixture(autouse=True)
def _a_short_imitation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(side_start, "PIXELS", 8 * 64**2)  # enough for tiny widths


@pytest.fixture(scope="module", params=["tiny", "tinylic-tiny"])
def start(request: pytest.FixtureRequest) -> sides.ModelFile:
    """A model of each family that came with a side of its own."""
    made = random_model(request.param, seed=3, sides=(("mse", "bottleneck"),))
    return without_sides(sides.ModelFile(made.model.config, checkpoint.export(made.model, made.hyper_tables)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from PIL import Image

    made = tmp_path_factory.mktemp("pictures")
    for seed in range(3):
        Image.fromarray(photo(256, 256, seed)).save(made / f"{seed}.png")
    return made


@pytest.fixture(scope="module")
def pictures(folder: Path) -> PictureSet:
    return PictureSet(folder, 64, quiet=True)


def picture_of(paradigm: Paradigm, pictures: PictureSet, batch: int = 2) -> torch.Tensor:
    x, code = batch_of(pictures, RECIPE, 7)
    with torch.no_grad(), paradigm.serving():
        y_hat = paradigm.latents(x[:batch], code[:batch]).y_hat
        return paradigm.paint(y_hat, code[:batch], all_side("mse", CPU))


def train(paradigm: Paradigm, pictures: PictureSet, folder: Path, steps: int = 2) -> None:
    trainer = ParadigmTrainer(
        RECIPE, paradigm, SideLossTerms(RECIPE, CPU, paradigm.model.config.rate_weights), pictures, folder
    )
    for _ in range(steps):
        trainer.train_step()


def tensors_of(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: own.detach().clone() for name, own in model.state_dict().items()}


@pytest.mark.parametrize("name", ADDING)
@pytest.mark.parametrize("batch", [1, 2])
def test_what_adds_begins_at_the_models_own_picture(
    start: sides.ModelFile, pictures: PictureSet, name: str, batch: int
) -> None:
    main = picture_of(Paradigm(start), pictures, batch)
    made = build(Variant(name), start, pictures, RECIPE)
    torch.testing.assert_close(picture_of(made, pictures, batch), main, rtol=0, atol=2e-5)
    assert made.begins == "the main path"


@pytest.mark.parametrize("name", [*IMITATING, "own-pair"])
def test_what_cannot_begin_there_says_where_and_is_near(
    start: sides.ModelFile, pictures: PictureSet, name: str
) -> None:
    main = picture_of(Paradigm(start), pictures)
    made = build(Variant(name), start, pictures, RECIPE)
    away = (picture_of(made, pictures) - main).square().mean().sqrt()
    assert float(away) < 0.1 * float(main.std())
    if name != "own-pair":
        assert "imitation of the main path" in made.begins
    elif isinstance(start.config, EdgeConfig):
        assert "rounding" in made.begins


@pytest.mark.parametrize("name", ALL)
def test_only_what_a_variant_names_changes_and_all_of_it_does(
    start: sides.ModelFile, pictures: PictureSet, tmp_path: Path, name: str
) -> None:
    made = build(Variant(name), start, pictures, RECIPE)
    learned = {id(own): own for group in made.learned() for own in group.parameters}
    before = {id(own): own.detach().clone() for own in made.model.parameters()}
    stored = tensors_of(checkpoint.build(start.config, start.tensors).model)
    x, code = batch_of(pictures, RECIPE, 7)
    stream = Paradigm(start).latents(x, code).y_hat
    train(made, pictures, tmp_path)
    for own in made.model.parameters():
        assert own.requires_grad == (id(own) in learned)
        if id(own) not in learned:
            assert torch.equal(own, before[id(own)])
            assert own.grad is None
    changed = sum(not torch.equal(own, before[key]) for key, own in learned.items())
    assert changed > 0.6 * len(learned)  # predictors without a say this time, thresholds of levels not drawn
    assert torch.equal(made.latents(x, code).y_hat, stream) == made.shared_stream
    fresh = tensors_of(checkpoint.build(start.config, start.tensors).model)
    assert all(torch.equal(own, fresh[key]) for key, own in stored.items())


def test_what_is_added_is_what_the_formulas_say(start: sides.ModelFile, pictures: PictureSet) -> None:
    model = Paradigm(start).model
    blocks = [block for group in model.g_s.groups for block in group.blocks]
    widths = [block.main_mlp.expand.in_features for block in blocks]
    norm = 0 if isinstance(start.config, EdgeConfig) else 2
    experts = sum(2 * (2 * c * (c // 4) + c // 4 + c + norm * c) + 3 * c + 3 for c in widths)
    thin = sum(4 * (own.in_features + own.out_features) for own in decoder_layers(model.g_s))
    whole = sum(own.numel() for own in model.parameters())
    decoder = sum(own.numel() for part in (model.g_s, model.inverse_gain) for own in part.parameters())
    groups = [group.blocks[0].main_mlp.expand.in_features for group in model.g_s.groups]
    side = sum(2 * c * (c // 2) + c // 2 + c + norm * c for c in widths)
    side += sum(c * (c // 4) + c // 4 + (c // 4) * (c // 16) + 2 * (c // 16) + 8 + norm * c for c in groups)
    wanted = {"experts-2-adapter": experts, "lora-4": thin, "own-pair": whole, "own-decoder": decoder}
    for name, count in {**wanted, "side-bottleneck": side, "main": 0}.items():
        assert build(Variant(name), start, pictures, RECIPE).added == count, name


def test_all_variants_see_the_same_whatever_else_draws_numbers(pictures: PictureSet) -> None:
    one = batch_of(pictures, RECIPE, 5)
    torch.rand(3)
    np.random.default_rng().random(3)
    two, other = batch_of(pictures, RECIPE, 5), batch_of(pictures, RECIPE, 6)
    assert torch.equal(one.x, two.x)
    assert torch.equal(one.code, two.code)
    assert not torch.equal(one.x, other.x)


def test_a_rate_is_paid_for_where_the_stream_is_not_shared(
    start: sides.ModelFile, pictures: PictureSet, tmp_path: Path
) -> None:
    pair = build(Variant("own-pair"), start, pictures, RECIPE)
    train(pair, pictures, tmp_path, 1)
    gradients = {name.split(".")[0] for name, own in pair.model.named_parameters() if own.grad is not None}
    assert {"g_a", "g_s", "h_a", "h_s", "context", "gain", "hyper_gain", "inverse_gain"} <= gradients


def test_a_loaded_low_rank_update_costs_no_more_than_the_main_path(
    start: sides.ModelFile, pictures: PictureSet, tmp_path: Path
) -> None:
    made = build(Variant("lora-2"), start, pictures, RECIPE)
    train(made, pictures, tmp_path)
    picture = torch.from_numpy(photo(profile.HEIGHT, profile.WIDTH, 1))[None].float() / 255
    main = measure.synthesis_kilomacs(Paradigm(start), "mse", picture)
    assert measure.synthesis_kilomacs(made, "mse", picture) == pytest.approx(main)
    narrow, wide = (
        measure.synthesis_kilomacs(build(Variant(name), start, pictures, RECIPE), "mse", picture)
        for name in ("side-bottleneck", "side-adapter")
    )
    assert narrow < main < wide
    assert main < main + measure.shared_kilomacs(made)


def test_gates_send_each_token_to_one_choice_as_training_computes_it(
    start: sides.ModelFile, pictures: PictureSet, tmp_path: Path
) -> None:
    made = build(Variant("experts-2-adapter"), start, pictures, RECIPE)
    assert isinstance(made, GatedExperts)
    train(made, pictures, tmp_path)
    x, code = batch_of(pictures, RECIPE, 3)
    y_hat = made.latents(x, code).y_hat
    dense = made.paint(y_hat, code, None).detach()
    with torch.no_grad():
        batch = made.paint(y_hat, code, None)
        singles = torch.cat([made.paint(y_hat[i : i + 1], code[i : i + 1], None) for i in range(len(x))])
    torch.testing.assert_close(batch, dense, rtol=0, atol=1e-4)
    torch.testing.assert_close(singles, dense, rtol=0, atol=1e-4)
    assert "%" in made.remark()
    assert torch.as_tensor(made.penalty()).detach() > 0


def test_code_lengths_of_a_table_are_those_of_its_probabilities() -> None:
    made = random_model("tiny", seed=3)
    rows, bounds = code_length_rows(made.hyper_tables), made.hyper_tables.bounds
    likelihood = 2.0 ** -rows[0, : 2 * int(bounds[0]) + 1]
    assert float(likelihood.sum()) == pytest.approx(1.0, abs=1e-4)


def test_each_sample_pays_for_its_hyper_latent_by_the_tables_of_its_own_level() -> None:
    """The shipped model has a set of tables a level; whole numbers cost what the coder writes for them."""
    released = checkpoint.load("edge")
    tables, channels = released.hyper_tables, released.model.config.hyper_channels
    z = torch.randint(-1, 2, (2, 1, 3, channels), generator=torch.Generator().manual_seed(1)).float()
    bits = HyperRate(released)(z, torch.tensor([0, 224]))
    for number, level in enumerate((0, 7)):
        rows = level * channels + np.arange(channels)
        place = z[number].numpy().astype(int) + tables.bounds[rows]
        counts = tables.cdf[rows, place + 1].astype(float) - tables.cdf[rows, place]
        assert float(bits[number]) == pytest.approx(float(-np.log2(counts / 2**PROBABILITY_BITS).sum()), rel=1e-5)


def test_judging_twice_gives_the_same_and_moves_nothing(start: sides.ModelFile, pictures: PictureSet) -> None:
    main = Paradigm(start)
    batches, terms = (
        measure.held_out(pictures, RECIPE, 2),
        measure.judging_terms(RECIPE, CPU, start.config.rate_weights),
    )
    state = torch.get_rng_state()
    one, two = (measure.judge(main, batches, terms, RECIPE, CPU) for _ in range(2))
    assert one == two
    assert torch.equal(state, torch.get_rng_state())
    assert table.change(one, two).mean == 0
    assert all(paid > free for paid, free in zip(one.with_rate, one.loss, strict=True))


@pytest.mark.parametrize(
    "text", ["side-round", "lora-0", "lora-x", "experts-2", "experts-adapter", "copies", "lora-4,lora-4", "main@x"]
)
def test_a_variant_that_does_not_exist_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"lora-|twice"):
        parse(text)


def test_a_variant_keeps_its_step_size_in_its_name() -> None:
    (one,) = parse("lora-16@0.005")
    assert (one.step_size(RECIPE), one.text) == (0.005, "lora-16@0.005")
    assert Variant("own-decoder").step_size(RECIPE) < Variant("lora-4").step_size(RECIPE)


def test_one_command_gives_the_table_and_goes_on_where_it_was(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, output = tmp_path / "model.safetensors", tmp_path / "out"
    made = random_model("tiny", seed=3)
    model.write_bytes(checkpoint.to_bytes(made.model.config, checkpoint.export(made.model, made.hyper_tables)))
    options = ["--steps", "2", "--batch", "1", "--crop", "64", "--judge", "2", "--rounds", "1"]
    words = ["x", "--model", str(model), "--pictures", str(folder), "--output", str(output), *options]
    monkeypatch.setattr(sys, "argv", [*words, "--variants", "main,side-bottleneck,own-pair"])
    assert command.main() == 0
    first = list(csv.DictReader((output / "paradigms.csv").read_text().splitlines()))
    assert [row["variant"] for row in first] == ["main", "side-bottleneck", "own-pair"]
    assert [row["one_stream"] for row in first] == ["yes", "yes", "no"]
    assert first[0]["loss_start"] == first[0]["loss_end"] != first[1]["loss_end"]
    assert "## mse" in (output / "paradigms.md").read_text()
    assert (output / "paradigms.png").stat().st_size > 10_000
    assert command.main() == 0
    again = list(csv.DictReader((output / "paradigms.csv").read_text().splitlines()))
    assert [row["loss_end"] for row in again] == [row["loss_end"] for row in first]
    monkeypatch.setattr(sys, "argv", [*words, "--seed", "2"])
    with pytest.raises(CheckpointError, match="--output"):
        command.main()
