"""The main model's training: rate and distortion at every quality, resumable to the step (see ``run``)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from manypath.config import LEVELS, PRESETS, QUALITY_CODES, QUALITY_STEPS, EdgeConfig, ModelConfig
from manypath.errors import ConfigError
from manypath.image import to_image
from manypath.model import Latents, ModelOutput, MPAModel
from manypath_lab.data import PictureSet
from manypath_lab.linear_start import linear_start
from manypath_lab.losses import PerceptualTerm, rate_distortion, ratio_loss, squared_error
from manypath_lab.rate import RateModel, StepBits
from manypath_lab.recipe import LearningRates, MixRecipe, Recipe
from manypath_lab.run import TrainingRun


class TrainingNetwork(nn.Module):
    """The model and its priors, averaged and saved together."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.model = MPAModel(config)
        self.rate = RateModel(config)


def model_config(recipe: Recipe) -> ModelConfig:
    """Return the configuration of the model that a recipe trains.

    Raises:
        ConfigError: the preset has no choice of mixer.
    """
    config = PRESETS[recipe.preset]
    if recipe.mixer:
        if not isinstance(config, EdgeConfig):
            raise ConfigError(f"only edge models have a choice of mixer; the preset is {recipe.preset!r}")
        config = dataclasses.replace(config, mixer=recipe.mixer)
    if isinstance(recipe, MixRecipe):
        config = dataclasses.replace(config, sides=tuple((task.path, task.shape) for task in recipe.tasks))
    return config


def kind_of(name: str) -> str:
    """Return which learning rate a parameter of ``TrainingNetwork`` takes."""
    parts = name.split(".")
    if "index_offset" in parts:
        return "index"
    if parts[-1] in ("log2", "shift"):
        return "tables"
    if parts[1] == "g_s" and "side_mlps" in parts:
        return "sides"
    if parts[1] == "g_s" and "predictors" in parts:
        return "predictors"
    if parts[1] in ("g_a", "g_s"):
        return "linear" if parts[2] in ("embed", "merge", "split", "paint") else "transforms"
    return "entropy"


def make_optimizer(network: nn.Module, rates: LearningRates) -> torch.optim.Adam:
    """Return Adam with one group per kind of parameter, each remembering its base rate."""
    kinds: dict[str, list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            kinds.setdefault(kind_of(name), []).append(parameter)
    groups = [{"params": params, "base": getattr(rates, kind), "kind": kind} for kind, params in kinds.items()]
    return torch.optim.Adam(groups, lr=1.0, betas=(0.9, 0.98), fused=True)


def draw_codes(random: np.random.Generator, batch: int, fractions: float) -> Tensor:
    """Draw a quality code per sample, int64 [batch]: a level, or with the chance ``fractions`` any code."""
    levels = random.integers(0, LEVELS, batch) * QUALITY_STEPS
    anything = random.integers(0, QUALITY_CODES, batch)
    fraction = random.random(batch) < fractions
    return torch.from_numpy(np.where(fraction, anything, levels))


class Trainer(TrainingRun):
    """Trains all of the main model; ``samples/`` shows originals above qualities 1, 4.5 and 8."""

    columns: ClassVar[Sequence[str]] = ("loss", "bpp", "psnr", "gradient")

    def __init__(self, recipe: Recipe, pictures: PictureSet, folder: Path, device: str = "cpu") -> None:
        self.recipe = recipe
        self.pictures = pictures
        torch.manual_seed(recipe.seed)
        self.network = TrainingNetwork(model_config(recipe))
        linear_start(self.network.model, pictures, recipe.seed)
        self.network.to(device)
        optimizer = make_optimizer(self.network, recipe.learning_rates)
        super().__init__(recipe, folder, self.network, optimizer, torch.device(device))
        self.perceptual = PerceptualTerm.default(self.device) if self._wants_perceptual() else None

    def _wants_perceptual(self) -> bool:
        return self.recipe.loss.perceptual > 0 and any(phase.perceptual for phase in self.recipe.phases)

    def train_step(self) -> Mapping[str, float]:
        """Take one optimiser step."""
        phase, _ = self.recipe.at(self.step)
        x = self.pictures.crops(self.random, phase.batch, phase.crop).to(self.device)
        code = draw_codes(self.random, phase.batch, self.recipe.fractions).to(self.device)
        bits = StepBits(self.network.rate)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast):
            out = self.network.model(x, code, bits, noise=1.0)
        loss, bpp, error = self.main_loss(out.x_hat.float(), x, code, bits, out)
        norm = self.descend(loss.mean())
        psnr = 10 * torch.log10(255.0**2 / error.detach().clamp_min(1e-3)).mean()
        means = (float(loss.detach().mean()), float(bpp.detach().mean()), float(psnr), norm)
        return dict(zip(self.columns, means, strict=True))

    def main_loss(
        self, x_hat: Tensor, x: Tensor, code: Tensor, bits: StepBits, made: Latents | ModelOutput
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return, [B] each, the main path's loss, its rate in bits per pixel and its squared error."""
        phase, _ = self.recipe.at(self.step)
        bpp = (bits.bits + self.network.rate.hyper_bits(made.z)) / phase.crop**2
        error = squared_error(x_hat, x)
        distortion = error
        weights = self.recipe.loss
        if phase.perceptual and self.perceptual is not None and self.step % weights.perceptual_every == 0:
            distance = self.perceptual(x_hat, x)
            distortion = error + weights.perceptual * weights.perceptual_every * distance
        share = self.network.model.analysis_routing(code, exact=False).share
        ratio = weights.ratio * ratio_loss(made.trace.soft_share, share)
        return rate_distortion(bpp, distortion, code) + ratio, bpp, error

    @torch.no_grad()
    def sample(self) -> None:
        """Write a sheet: two crops, and the averaged network's reconstructions at three levels below them."""
        phase, _ = self.recipe.at(self.step)
        crops = self.pictures.crops(np.random.default_rng(0), 2, phase.crop).to(self.device)
        model = cast("TrainingNetwork", self.average.module).model
        codes = (0, (QUALITY_CODES - 1) // 2, QUALITY_CODES - 1)
        rows = [crops, *(model(crops, torch.full((2,), code, device=self.device)).x_hat for code in codes)]
        sheet = torch.cat([torch.cat(tuple(row.float()), 1) for row in rows], 0)
        folder = self.folder / "samples"
        folder.mkdir(exist_ok=True)
        Image.fromarray(to_image(sheet)).save(folder / f"{self.step:07d}.png")
