"""What training runs have learned: a line per run, from its curves and on crops that are the same before and after.

``python -m benchmarks.learning runs/stage1 --pictures DIR``
``python -m benchmarks.learning runs/gan --begin runs/stage1 --pictures DIR``
``python -m benchmarks.learning runs/cls --start model.safetensors --pictures DIR``

A step's loss is of a few crops and jumps with what these show. So the run's first and last weights are also judged by
the recipe's own loss, without the adversarial term, on the same crops at the same qualities with the same noise.
"""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path

import numpy as np
import torch

from manypath.allocation import keep_memory
from manypath_lab.training import sides
from manypath_lab.training.data import PictureSet
from manypath_lab.training.init import begin_at
from manypath_lab.training.recipe import SideRecipe, recipe_of
from manypath_lab.training.stage1 import Trainer
from manypath_lab.training.stage2 import SideTrainer


def from_curves(run: Path) -> tuple[int, float, float, float]:
    """Return a run's steps, its mean loss over the first and the last tenth, and seconds per step."""
    with (run / "curves.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    tenth = max(1, len(rows) // 10)
    losses = [float(row["loss"]) for row in rows]
    steps = int(rows[-1]["step"])
    return steps, float(np.mean(losses[:tenth])), float(np.mean(losses[-tenth:])), float(rows[-1]["seconds"]) / steps


@torch.no_grad()
def fixed_loss(trainer: Trainer | SideTrainer, passes: int) -> float:
    """Return the mean loss of a trainer's weights over passes that are the same for every trainer of a recipe."""
    trainer.step = 0
    trainer.random = np.random.default_rng(7)
    torch.manual_seed(7)
    return float(np.mean([float(trainer.forward_pass().loss.mean()) for _ in range(passes)]))


def main() -> int:
    """Print a line for each run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, nargs="+", help="run folder")
    parser.add_argument("--pictures", type=Path, required=True, help="folder to judge on")
    parser.add_argument("--begin", type=Path, help="where main models' runs began")
    parser.add_argument("--start", default="edge", help="the model that a side was trained on (default: %(default)s)")
    parser.add_argument("--passes", type=int, default=32, help="forward passes before and after (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="(default: %(default)s)")
    args = parser.parse_args()
    keep_memory()
    torch.set_num_threads(args.threads)
    print("| recipe | model | steps | crops | loss, first -> last tenth | on fixed crops | seconds per step |")
    for run in args.run:
        recipe = recipe_of(run)
        phase = recipe.phases[0]
        pictures = PictureSet(args.pictures, phase.crop, quiet=True)
        trainer: Trainer | SideTrainer
        if isinstance(recipe, SideRecipe):
            start = sides.read(args.start)
            trainer, name = SideTrainer(recipe, start, pictures, run), start.config.name
        else:
            trainer, name = Trainer(recipe, pictures, run), recipe.preset
            if args.begin:
                begin_at(trainer, args.begin)
        judged = [fixed_loss(trainer, args.passes)]
        trainer.resume()
        judged.append(fixed_loss(trainer, args.passes))
        steps, first, last, seconds = from_curves(run)
        print(
            f"| {recipe.name} | {name} | {steps} | {phase.batch} of {phase.crop}x{phase.crop} | "
            f"{first:.2f} -> {last:.2f} | {judged[0]:.2f} -> {judged[1]:.2f} | {seconds:.2f} |",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
