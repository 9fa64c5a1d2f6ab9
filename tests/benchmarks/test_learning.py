from pathlib import Path

import pytest
from PIL import Image

from benchmarks.learning import fixed_loss, from_curves
from manypath_lab.training.data import PictureSet
from manypath_lab.training.recipe import LearningRates, Phase, Recipe
from manypath_lab.training.stage1 import Trainer
from tests.codec.conftest import photo


def test_a_run_is_summed_up_by_its_first_and_last_tenth(tmp_path: Path) -> None:
    rows = [f"{5 * number},{2 * number},{100 / number}" for number in range(1, 21)]
    (tmp_path / "curves.csv").write_text("\n".join(["step,seconds,loss", *rows]))
    steps, first, last, seconds = from_curves(tmp_path)
    assert (steps, first, seconds) == (100, 75.0, 0.4)
    assert last == pytest.approx((100 / 19 + 5) / 2)


def test_a_loss_on_fixed_crops_repeats_itself_and_falls_with_training(tmp_path: Path) -> None:
    for seed in range(2):
        Image.fromarray(photo(64, 96, seed)).save(tmp_path / f"{seed}.png")
    rates = LearningRates(transforms=2e-3, entropy=2e-3)
    recipe = Recipe(
        name="t",
        preset="tinylic-tiny",
        warmup=0,
        learning_rates=rates,
        phases=(Phase(steps=5, batch=1, crop=64),),
    )
    trainer = Trainer(recipe, PictureSet(tmp_path, 64, quiet=True), tmp_path)
    before = fixed_loss(trainer, 3)
    assert fixed_loss(trainer, 3) == before
    for _ in range(5):
        trainer.train_step()
    assert fixed_loss(trainer, 3) < before
