"""Equal steps on equal batches: what a step sees depends on the recipe's seed and the step, never on the variant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from benchmarks.paradigms.paradigm import Paradigm
from manypath.image import to_image
from manypath.multipath.routing import Routing, Trace
from manypath_lab.training.data import PictureSet
from manypath_lab.training.losses import rate_weight
from manypath_lab.training.qualities import draw_codes
from manypath_lab.training.rate import RateModel, StepBits
from manypath_lab.training.recipe import SideRecipe
from manypath_lab.training.run import TrainingRun
from manypath_lab.training.side_loss import SideLossTerms, SidePicture


class Batch(NamedTuple):
    """Pictures, float32 [B, S, S, 3] in [0, 1], and their quality codes, int64 [B]."""

    x: Tensor
    code: Tensor


def batch_of(pictures: PictureSet, recipe: SideRecipe, step: int) -> Batch:
    """Return what a step sees."""
    random = np.random.default_rng((recipe.seed, step, 0))
    phase, _ = recipe.at(step)
    x = pictures.upright_crops(random, phase.batch, phase.crop, recipe.zoom_out)
    return Batch(x, draw_codes(random, phase.batch, recipe.fractions))


def rate_loss(bpp: Tensor, code: Tensor, recipe: SideRecipe, rate_weights: Sequence[float]) -> Tensor:
    """Return what bits cost, a mean over the batch, on the scale of the task's loss."""
    weight = rate_weight(code, rate_weights)
    return (weight * bpp * (weight.rsqrt() if recipe.loss.balanced else 1.0)).mean()


def all_side(path: str, device: torch.device) -> Routing:
    """Return the routing that gives every token to a side path."""
    return Routing(path, torch.zeros(1, device=device), exact=True)


class ParadigmTrainer(TrainingRun):
    """Trains one variant; ``samples/`` shows crops above the variant's pictures of them at quality 1.

    Args:
        recipe: the task, steps and batches.
        paradigm: what learns.
        terms: the task's loss, which all variants share.
        pictures: to learn from.
        folder: the run folder.
        device: a torch device.
    """

    columns: ClassVar = ("loss", "psnr", "task", "bpp", "gradient")

    def __init__(
        self,
        recipe: SideRecipe,
        paradigm: Paradigm,
        terms: SideLossTerms,
        pictures: PictureSet,
        folder: Path,
        *,
        device: str = "cpu",
    ) -> None:
        self.recipe = recipe
        self.paradigm = paradigm
        self.terms = terms
        self.pictures = pictures
        self.rate = RateModel(paradigm.model.config).to(device)
        paradigm.model.to(device)
        torch.manual_seed(recipe.seed)  # of what torch draws: noise of the choice of paths, of the rate
        learned = paradigm.learned()
        groups = [{"params": group.parameters, "base": group.rate, "kind": group.kind} for group in learned]
        network = nn.ParameterList([parameter for group in learned for parameter in group.parameters])
        optimizer = torch.optim.Adam(groups, lr=1.0, betas=(0.9, 0.98), fused=True)
        super().__init__(recipe, folder, network, optimizer, torch.device(device))

    def train_step(self) -> Mapping[str, float]:
        """Take one optimiser step."""
        recipe, paradigm = self.recipe, self.paradigm
        x, code = (group.to(self.device) for group in batch_of(self.pictures, recipe, self.step))
        random = np.random.default_rng((recipe.seed, self.step, 1))
        routing = self.terms.routing(random, len(x), recipe.fractions, self.device)  # drawn for all: equal squares
        trace, bits = Trace([], []), StepBits(self.rate)
        paying = not paradigm.shared_stream  # else nothing that learns changes the rate
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast):
            latents = paradigm.latents(x, code, bits if paying else None)
            x_hat = paradigm.paint(latents.y_hat, code, routing, trace).float()
        terms = self.terms(SidePicture(x_hat, routing, trace), x, code, random, self.step)
        loss, bpp = terms.loss + paradigm.penalty(), torch.zeros(1)
        if paying:
            bpp = (bits.bits + paradigm.hyper_rate(latents.z, code)) / x[0, ..., 0].numel()
            loss = loss + rate_loss(bpp, code, recipe, paradigm.model.config.rate_weights)
        norm = self.descend(loss)
        means = (float(terms.loss.detach()), terms.psnr, terms.task, float(bpp.detach().mean()), norm)
        return dict(zip(self.columns, means, strict=True))

    @torch.no_grad()
    def sample(self) -> None:
        """Write a sheet: a step's crops, and the variant's pictures of them below."""
        x = batch_of(self.pictures, self.recipe, 0).x.to(self.device)
        code = torch.zeros(len(x), dtype=torch.int64, device=self.device)
        routing = all_side(self.recipe.path, self.device)
        rows = [x, self.paradigm.paint(self.paradigm.latents(x, code).y_hat, code, routing)]
        folder = self.folder / "samples"
        folder.mkdir(exist_ok=True)
        sheet = torch.cat([torch.cat(tuple(row.float()), 1) for row in rows], 0)
        Image.fromarray(to_image(sheet)).save(folder / f"{self.step:07d}.png")
