"""Tuning a whole model for a mix of tasks: the encoder spends its bits on what people and networks both look at.

The stream stays one for all paths. Each step has the main model's loss and one path's; the paths' losses, which stage 2
keeps from everything that the paths share, reach the encoder here.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from manypath import checkpoint
from manypath.multipath.routing import Trace
from manypath.quality import LEVELS, QUALITY_STEPS
from manypath_lab.training import sides
from manypath_lab.training.data import PictureSet
from manypath_lab.training.init import begin_at
from manypath_lab.training.losses import psnr
from manypath_lab.training.rate import StepBits
from manypath_lab.training.recipe import MixRecipe, MixTask
from manypath_lab.training.side_loss import SideLossTerms, SidePicture
from manypath_lab.training.stage1 import Trainer, draw_codes


class MixTrainer(Trainer):
    """Trains all of a model and its side paths together.

    Args:
        recipe: what to train.
        pictures: to learn from, where a path has none of its own.
        own: pictures of single paths, by the path's name.
        folder: the run folder.
        device: a torch device.
    """

    columns = ("loss", "bpp", "psnr", "side_psnr", "perceptual", "task", "gradient")

    def __init__(
        self,
        recipe: MixRecipe,
        pictures: PictureSet,
        folder: Path,
        device: str = "cpu",
        own: Mapping[str, PictureSet] | None = None,
    ) -> None:
        super().__init__(recipe, pictures, folder, device)
        self.mix = recipe
        self.own = dict(own or {})
        self.terms = {
            task.path: SideLossTerms(task, self.device, self.network.model.config.rate_weights) for task in recipe.tasks
        }
        chances = np.asarray([task.chance for task in recipe.tasks])
        self._chances = chances / chances.sum()

    def begin_at(self, run: Path, model: str | Path | None = None) -> None:
        """Take the averaged weights of a main model's run, and the paths of a model file where it has them.

        Raises:
            CheckpointError: the run is of another preset, or a path has another shape in the file.
        """
        tensors: dict[str, Tensor] = {}
        if model is not None:
            start = sides.read(model)
            have = checkpoint.build(start.config, start.tensors).model.state_dict()
            for task in self.mix.tasks:
                if (task.path, task.shape) in start.config.sides:
                    found = {key: value for key, value in have.items() if sides.belongs_to(key, task.path)}
                    tensors.update({f"model.{key}": value for key, value in found.items()})
        begin_at(self, run, tensors)

    def train_step(self) -> Mapping[str, float]:
        """Take one optimiser step."""
        if self.mix.plain and self.random.random() < self.mix.plain:
            plain = super().train_step()
            return {column: plain.get(column, float("nan")) for column in self.columns}
        phase, _ = self.recipe.at(self.step)
        self.settle()
        task: MixTask = self.mix.tasks[self.random.choice(len(self._chances), p=self._chances)]
        pictures = self.own.get(task.path, self.pictures)
        x = pictures.upright_crops(self.random, phase.batch, phase.crop, task.zoom_out).to(self.device)
        code = self._draw_codes(phase.batch).to(self.device)
        terms = self.terms[task.path]
        routing = terms.routing(self.random, phase.batch, self.recipe.fractions, self.device)
        bits = StepBits(self.network.rate)
        trace = Trace([], [])
        model = self.network.model
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast):
            made = model.latents(x, code, bits, noise=1.0)
            tokens = model.shared_tokens(made.y_hat, code)
            main = model.g_s(tokens, code, None).float()
            side = model.g_s(tokens, code, routing, trace).float()
        loss, bpp, error = self.main_loss(main, x, code, bits, made)
        path = terms(SidePicture(side, routing, trace), x, code, self.random, self.step)
        total = loss.mean() + self.mix.tasks_weight * path.loss
        norm = self.descend(total)
        decibels = psnr(error.detach()).mean()
        main_means = [float(value) for value in (total.detach(), bpp.detach().mean(), decibels)]
        means = (*main_means, path.psnr, path.perceptual, path.task, norm)
        return dict(zip(self.columns, means, strict=True))

    def _draw_codes(self, batch: int) -> Tensor:
        drawn = draw_codes(self.random, batch, self.recipe.fractions)
        middle = LEVELS * QUALITY_STEPS // 2 - QUALITY_STEPS // 2  # quality 4.5
        upper = torch.from_numpy(self.random.random(batch) < self.mix.upper)
        return torch.where(upper & (drawn < middle), drawn + middle, drawn)
