"""Which mixer learns more: the two kinds after equally many steps from one start, and what a step costs.

``python -m benchmarks.mixers --pictures DIR --validate DIR --steps 400``
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from manypath.allocation import keep_memory
from manypath.config import LEVELS, MIXERS, QUALITY_STEPS
from manypath_lab.training.data import PictureSet
from manypath_lab.training.losses import rate_distortion, squared_error
from manypath_lab.training.rate import StepBits
from manypath_lab.training.recipe import Phase, Recipe
from manypath_lab.training.stage1 import Trainer

CROP, BATCH = 128, 4


@torch.no_grad()
def validation_loss(trainer: Trainer, pictures: PictureSet) -> float:
    """Return the averaged network's Lagrangian over all levels on crops that are always the same."""
    network = trainer.average.module
    random = np.random.default_rng(0)
    code = torch.arange(LEVELS) * QUALITY_STEPS
    torch.manual_seed(0)
    losses = []
    for _ in range(8):
        x = pictures.crops(random, LEVELS, 256)
        bits = StepBits(network.rate)  # type: ignore[arg-type]
        out = network.model(x, code, bits)  # type: ignore[operator]
        bpp = (bits.bits + network.rate.hyper_bits(out.z)) / 256**2  # type: ignore[operator, union-attr]
        losses.append(float(rate_distortion(bpp, squared_error(out.x_hat, x), code).mean()))
    return float(np.mean(losses))


def main() -> int:
    """Train each mixer and print a line for it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, required=True, help="folder to train on")
    parser.add_argument("--validate", type=Path, required=True, help="folder to measure on")
    parser.add_argument("--steps", type=int, default=400, help="(default: %(default)s)")
    parser.add_argument("--mixers", default=",".join(MIXERS), help="(default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="(default: %(default)s)")
    args = parser.parse_args()
    keep_memory()
    torch.set_num_threads(args.threads)
    train, validate = PictureSet(args.pictures, CROP), PictureSet(args.validate, 256)
    print("mixer       parameters  s/step  loss at start -> end")
    for mixer in args.mixers.split(","):
        phase = Phase(steps=args.steps, batch=BATCH, crop=CROP, rate=(1.0, 0.05))
        recipe = Recipe(name=mixer, mixer=mixer, warmup=50, ema=0.98, phases=(phase,))
        with tempfile.TemporaryDirectory() as folder:
            trainer = Trainer(recipe, train, Path(folder))
            before = validation_loss(trainer, validate)
            begun = time.process_time()
            for _ in tqdm(range(args.steps), desc=mixer, unit="step", disable=None):
                trainer.train_step()
            seconds = (time.process_time() - begun) / args.steps
            after = validation_loss(trainer, validate)
        count = sum(parameter.numel() for parameter in trainer.network.model.parameters())
        print(f"{mixer:<12}{count / 1e6:<12.2f}{seconds:<8.3f}{before:.4f} -> {after:.4f}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
