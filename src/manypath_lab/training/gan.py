"""Stage 1 with a discriminator: what the reconstruction cannot know it may invent, if it looks real (MPA section 4).

Every step is one of the codec and one of the discriminator, on the same pictures at the same qualities. The
discriminator learns from detached pictures and latents, so its step computes nothing in the codec and changes nothing
there; the codec's step leaves the discriminator as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from manypath_lab.training.data import PictureSet
from manypath_lab.training.discriminator import Discriminator
from manypath_lab.training.losses import balance, psnr
from manypath_lab.training.recipe import GanRecipe
from manypath_lab.training.stage1 import Pass, Trainer


def generator_loss(logits: Tensor) -> Tensor:
    """Return the non-saturating loss of the generator, [B], of the logits [B, n] of its pictures."""
    return F.softplus(-logits.float()).mean(1)


def discriminator_loss(real: Tensor, decoded: Tensor) -> Tensor:
    """Return the discriminator's loss, [B], of its logits [B, n] of originals and of reconstructions."""
    return F.softplus(-real.float()).mean(1) + F.softplus(decoded.float()).mean(1)


class GanTrainer(Trainer):
    """Goes on with a main model and trains a discriminator beside it.

    Attributes:
        discriminator: saved in the run folder, never exported.
    """

    columns = ("loss", "bpp", "psnr", "generator", "discriminator", "gradient")

    def __init__(self, recipe: GanRecipe, pictures: PictureSet, folder: Path, device: str = "cpu") -> None:
        super().__init__(recipe, pictures, folder, device)
        self.gan = recipe.gan
        channels = self.network.model.config.latent_channels
        self.discriminator = Discriminator(channels, recipe.gan.width).to(self.device)
        groups = [{"params": list(self.discriminator.parameters()), "base": recipe.gan.rate, "kind": "discriminator"}]
        self.discriminator_optimizer = torch.optim.Adam(groups, lr=1.0, fused=True)
        self.also = {"discriminator": self.discriminator, "discriminator_optimizer": self.discriminator_optimizer}

    def train_step(self) -> Mapping[str, float]:
        """Take one step of the discriminator and one of the codec."""
        step = self.forward_pass()
        of_discriminator = self.step_of_discriminator(step)
        of_generator = generator_loss(self.judge_frozen(step))
        scale = balance(step.code, self.network.model.config.rate_weights, balanced=self.recipe.loss.balanced)
        norm = self.descend((step.loss + self.gan.weight * scale * of_generator).mean())
        decibels = psnr(step.error.detach()).mean()
        means = [float(value.detach().mean()) for value in (step.loss, step.bpp, decibels, of_generator)]
        return dict(zip(self.columns, (*means, of_discriminator, norm), strict=True))

    def step_of_discriminator(self, step: Pass) -> float:
        """Let the discriminator learn from a pass that is over, whatever made it; return its loss."""
        self.discriminator.train()
        y_hat = step.y_hat.detach()
        with self.products():
            real = self.discriminator(step.x, y_hat, step.code)
            guess = self.discriminator(step.x_hat.detach(), y_hat, step.code)
        loss = discriminator_loss(real, guess).mean()
        self._descend(loss, self.discriminator, self.discriminator_optimizer)
        return float(loss.detach())

    def judge_frozen(self, step: Pass) -> Tensor:
        """Return the logits of a pass's reconstructions, with a gradient to the pictures and to nothing else."""
        self.discriminator.eval().requires_grad_(False)
        with self.products():
            logits: Tensor = self.discriminator(step.x_hat, step.y_hat.detach(), step.code)
        self.discriminator.requires_grad_(True)
        return logits
