"""The main model's training: rate and distortion at every quality, resumable to the step (see ``run``)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, NamedTuple, cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from manypath.config import ModelConfig
from manypath.edge.config import EdgeConfig
from manypath.errors import ConfigError
from manypath.families import PRESETS, build_network
from manypath.image import to_image, to_tensor
from manypath.network import Latents, ModelOutput
from manypath.quality import QUALITY_CODES
from manypath.tinylic.hyper import HyperSynthesis
from manypath.tinylic.prior import FactorizedPrior
from manypath_lab.training.augmented import AugmentedPictures, Crops
from manypath_lab.training.data import PictureSet
from manypath_lab.training.linear_init import linear_init
from manypath_lab.training.losses import (
    DISTORTION_WEIGHT,
    PerceptualTerm,
    psnr,
    rate_distortion,
    ratio_loss,
    seen_error,
    squared_error,
    structural_similarity,
)
from manypath_lab.training.optimisers import make_optimiser
from manypath_lab.training.qualities import draw_codes
from manypath_lab.training.rate import RateModel, StepBits
from manypath_lab.training.recipe import JointRecipe, Recipe
from manypath_lab.training.run import TrainingRun
from manypath_lab.training.validation import SHOWN_LEVELS, columns, lagrangian, validate

DECODER = ("model.g_s.", "model.inverse_gain.", "model.refine.")  # parameters that change pictures and no bitstream
VALIDATION_SIDE = 256  # pixels
SETTLE_EVERY = 50  # steps after which the published prior's medians are computed anew


class TrainingNetwork(nn.Module):
    """The model and its priors, averaged and saved together.

    The published prior's quantiles are computed and not learned: there is no auxiliary loss, so none can disturb the
    clipping, and no gradient of rounding errors reaches the medians through Adam.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.model = build_network(config)
        self.rate = RateModel(config)
        if self.prior is not None:
            self.prior.quantiles.requires_grad_(False)
            self.prior.settle()

    @property
    def prior(self) -> FactorizedPrior | None:
        """Return the hyper-latent's prior, where it is part of the model."""
        h_s = self.model.h_s
        return h_s.prior if isinstance(h_s, HyperSynthesis) else None

    def hyper_bits(self, z: Tensor, code: Tensor) -> Tensor:
        """Return bits per sample, [B], of z [B, h, w, K] under uniform noise."""
        if self.prior is None:
            return self.rate.hyper_bits(z, code)
        return self.prior.bits(z + torch.rand_like(z) - 0.5).flatten(1).sum(1)


def model_config(recipe: Recipe) -> ModelConfig:
    """Return the configuration of the model that a recipe trains."""
    config = PRESETS[recipe.preset]
    if isinstance(recipe, JointRecipe):
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
        return "linear" if parts[2] in ("embed", "merge", "split", "paint", "detail") else "transforms"
    if parts[1] == "refine":
        return "linear"
    return "entropy"


def freeze(network: TrainingNetwork, parts: Sequence[str]) -> None:
    """Take the gradients from parts of the model, or from ``rate``.

    Raises:
        ConfigError: there is no such part.
    """
    for part in parts:
        try:
            (network if part == "rate" else network.model).get_submodule(part).requires_grad_(False)
        except AttributeError as err:
            have = ", ".join(name for name, _ in network.model.named_children())
            raise ConfigError(
                f"freeze names parts of the model ({have}), parts of these, or rate; got {part!r}"
            ) from err


class Pass(NamedTuple):
    """What one step's forward pass gives.

    Attributes:
        x: pictures, float [B, H, W, 3].
        code: their qualities, int64 [B].
        x_hat: their reconstructions.
        y_hat: float [B, h, w, M], in the gained domain.
        loss: [B].
        bpp: estimated, [B].
        error: squared error on the 0..255 scale, [B].
    """

    x: Tensor
    code: Tensor
    x_hat: Tensor
    y_hat: Tensor
    loss: Tensor
    bpp: Tensor
    error: Tensor


class Trainer(TrainingRun):
    """Trains all of the main model but what its recipe freezes.

    While nothing that decides the bitstream learns, the encoder runs as when it is served, and the loss has no rate.
    ``samples/`` shows originals above qualities 1, 4.5 and 8.
    """

    columns: ClassVar[Sequence[str]] = ("loss", "bpp", "psnr", "gradient")

    def __init__(self, recipe: Recipe, pictures: PictureSet, folder: Path, device: str = "cpu") -> None:
        self.recipe = recipe
        self.pictures = pictures
        torch.manual_seed(recipe.seed)
        config = model_config(recipe)
        self.network = TrainingNetwork(config)
        if isinstance(config, EdgeConfig):  # the published network starts at random
            linear_init(self.network.model, pictures, recipe.seed)
        freeze(self.network, recipe.freeze)
        self.network.to(device)
        self.stream_learns = any(
            parameter.requires_grad and not name.startswith(DECODER)
            for name, parameter in self.network.named_parameters()
        )
        optimizer = make_optimiser(self.network, recipe.learning_rates, recipe.muon, kind_of)
        self.augmented = AugmentedPictures(pictures, recipe.augmentation) if recipe.augmentation else None
        self.held_out: list[Tensor] = []
        super().__init__(recipe, folder, self.network, optimizer, torch.device(device))
        self.perceptual = PerceptualTerm.on(recipe.loss.features, self.device) if self._wants_perceptual() else None

    def _wants_perceptual(self) -> bool:
        return self.recipe.loss.perceptual > 0 and any(phase.perceptual for phase in self.recipe.phases)

    def train_step(self) -> Mapping[str, float]:
        """Take one optimiser step."""
        step = self.forward_pass()
        norm = self.descend(step.loss.mean())
        decibels = psnr(step.error.detach()).mean()
        means = (float(step.loss.detach().mean()), float(step.bpp.detach().mean()), float(decibels), norm)
        return dict(zip(Trainer.columns, means, strict=True))

    def forward_pass(self) -> Pass:
        """Draw pictures and a quality for each, code them in both directions, and judge the result."""
        phase, _ = self.recipe.at(self.step)
        self.settle()
        code = draw_codes(self.random, phase.batch, self.recipe.fractions)
        crops = self.crops(code, phase.crop)
        x, code = crops.x.to(self.device), code.to(self.device)
        bits = StepBits(self.network.rate)
        model = self.network.model
        with torch.set_grad_enabled(self.stream_learns), self.products(exact=not self.stream_learns):
            latents = model.latents(x, code, bits, noise=1.0 if self.stream_learns else 0.0)
        with self.products():
            x_hat = model.g_s(model.shared_tokens(latents.y_hat, code), code, None).float()
        weight = crops.weight.to(self.device)
        return Pass(x, code, x_hat, latents.y_hat, *self.main_loss(x_hat, x, code, bits, latents, weight=weight))

    def crops(self, code: Tensor, side: int) -> Crops:
        """Return a picture a quality code, int64 [B]."""
        if self.augmented is not None:
            return self.augmented.crops(self.random, code, side)
        return Crops(self.pictures.crops(self.random, len(code), side), torch.ones(len(code)))

    def hold_out(self, folder: Path) -> None:
        """Validate on the pictures below a folder, the middle 256x256 pixels of each; training never sees them."""
        pictures = PictureSet(folder, VALIDATION_SIDE, quiet=True).pictures
        for picture in pictures:
            top, left = ((side - VALIDATION_SIDE) // 2 for side in picture.shape[:2])
            crop = np.ascontiguousarray(picture[top : top + VALIDATION_SIDE, left : left + VALIDATION_SIDE])
            self.held_out.append(to_tensor(crop).to(self.device))

    def judgement(self) -> Mapping[str, float]:
        """Return rate and distortion of the averaged network on what was held out."""
        network = cast("TrainingNetwork", self.average.module)
        if not self.held_out or network.prior is not None:
            return {}
        points = validate(network.model, network.rate, self.held_out, autocast=self.autocast)
        total = lagrangian(points, SHOWN_LEVELS, network.model.config.rate_weights)
        return dict(zip(columns(), (total, *(x for point in points for x in (point.bpp, point.psnr))), strict=True))

    def settle(self) -> None:
        """Bring the prior's medians to where its distribution has moved, every so often."""
        prior = self.network.prior
        if prior is not None and self.stream_learns and self.step % SETTLE_EVERY == 0:
            prior.settle()

    def main_loss(
        self,
        x_hat: Tensor,
        x: Tensor,
        code: Tensor,
        bits: StepBits,
        latents: Latents | ModelOutput,
        *,
        weight: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return, [B] each, the main path's loss, its rate in bits per pixel and its squared error.

        Samples of a ``weight`` below 1 are drawn: MS-SSIM, whose slope on flat areas has no bound, is not for them.
        """
        phase, _ = self.recipe.at(self.step)
        with torch.set_grad_enabled(self.stream_learns):
            bpp = (bits.bits + self.network.hyper_bits(latents.z, code)) / phase.crop**2
        error = squared_error(x_hat, x)
        weights, table = self.recipe.loss, self.network.model.config.rate_weights
        distortion = seen_error(x_hat, x, error, weights.dark, weights.low_pass)
        if phase.ms_ssim and weights.ms_ssim and self.step % weights.ms_ssim_every == 0:
            dissimilarity = 1.0 - structural_similarity(x_hat, x)
            if weight is not None:
                dissimilarity = dissimilarity * (weight >= 1.0)
            distortion = distortion + weights.ms_ssim * weights.ms_ssim_every / DISTORTION_WEIGHT * dissimilarity
        if phase.perceptual and self.perceptual is not None and self.step % weights.perceptual_every == 0:
            distance = self.perceptual(x_hat, x)
            distortion = distortion + weights.perceptual * weights.perceptual_every * distance
        paid = bpp if self.stream_learns else torch.zeros_like(bpp)
        loss = rate_distortion(paid, distortion, code, table, balanced=weights.balanced)
        if weight is not None:
            loss = loss * weight
        if self.stream_learns:
            share = self.network.model.analysis_routing(code, exact=False).share
            loss = loss + weights.ratio * ratio_loss(latents.trace.soft_share, share)
        return loss, bpp, error

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
