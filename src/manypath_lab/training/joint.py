"""Joint fine-tuning: the encoder of a whole model learns to spend bits on what people and networks both look at.

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
from manypath_lab.training import sides
from manypath_lab.training.data import PictureSet
from manypath_lab.training.init import initialise
from manypath_lab.training.losses import psnr
from manypath_lab.training.qualities import draw_codes
from manypath_lab.training.rate import StepBits
from manypath_lab.training.recipe import JointRecipe, JointTask
from manypath_lab.training.side_loss import SideLossTerms, SidePicture
from manypath_lab.training.stage1 import Trainer


class JointTrainer(Trainer):
    """Trains all of a model and its side paths together.

    Args:
        recipe: what to train.
        pictures: to learn from, where a path has no others.
        of_path: pictures that a path learns from in place of these, by its name.
        folder: the run folder.
        device: a torch device.
    """

    columns = ("loss", "bpp", "psnr", "side_psnr", "perceptual", "task", "gradient")

    def __init__(
        self,
        recipe: JointRecipe,
        pictures: PictureSet,
        folder: Path,
        device: str = "cpu",
        of_path: Mapping[str, PictureSet] | None = None,
    ) -> None:
        super().__init__(recipe, pictures, folder, device)
        self.joint = recipe
        self.of_path = dict(of_path or {})
        self.terms = {
            task.path: SideLossTerms(task, self.device, self.network.model.config.rate_weights) for task in recipe.tasks
        }
        chances = np.asarray([task.chance for task in recipe.tasks])
        self._chances = chances / chances.sum()

    def initialise(self, source: Path, model: str | Path | None = None) -> None:
        """Take the weights of a main model's run or file, and the paths of a model file where it has them.

        Raises:
            CheckpointError: they are of another preset, or a path has another shape in the file.
        """
        tensors: dict[str, Tensor] = {}
        if model is not None:
            file = sides.read(model)
            stored = checkpoint.build(file.config, file.tensors).model.state_dict()
            for task in self.joint.tasks:
                if (task.path, task.shape) in file.config.sides:
                    of_side = {key: value for key, value in stored.items() if sides.belongs_to(key, task.path)}
                    tensors.update({f"model.{key}": value for key, value in of_side.items()})
        initialise(self, source, tensors)

    def train_step(self) -> Mapping[str, float]:
        """Take one optimiser step."""
        if self.joint.plain and self.random.random() < self.joint.plain:
            plain = super().train_step()
            return {column: plain.get(column, float("nan")) for column in self.columns}
        phase, _ = self.recipe.at(self.step)
        self.settle()
        task: JointTask = self.joint.tasks[self.random.choice(len(self._chances), p=self._chances)]
        pictures = self.of_path.get(task.path, self.pictures)
        x = pictures.upright_crops(self.random, phase.batch, phase.crop, task.zoom_out).to(self.device)
        code = draw_codes(self.random, phase.batch, self.recipe.fractions, self.joint.upper).to(self.device)
        terms = self.terms[task.path]
        routing = terms.routing(self.random, phase.batch, self.recipe.fractions, self.device)
        if self.network.model.sees_noise(task.path):
            seeds = self.random.integers(0, 2**32, phase.batch).tolist()
            routing = self.network.model.with_noise(routing, seeds, 0, phase.crop, phase.crop)
        bits = StepBits(self.network.rate)
        trace = Trace([], [])
        model = self.network.model
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast):
            latents = model.latents(x, code, bits, noise=1.0)
            tokens = model.shared_tokens(latents.y_hat, code)
            main = model.g_s(tokens, code, None).float()
            side = model.g_s(tokens, code, routing, trace).float()
        loss, bpp, error = self.main_loss(main, x, code, bits, latents)
        path = terms(SidePicture(side, routing, trace), x, code, self.random, self.step)
        total = loss.mean() + self.joint.tasks_weight * path.loss
        norm = self.descend(total)
        decibels = psnr(error.detach()).mean()
        main_means = [float(value) for value in (total.detach(), bpp.detach().mean(), decibels)]
        means = (*main_means, path.psnr, path.perceptual, path.task, norm)
        return dict(zip(self.columns, means, strict=True))
