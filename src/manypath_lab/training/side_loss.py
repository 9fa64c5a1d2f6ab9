"""What a side path learns from: its reconstruction against the picture, for eyes and for a frozen network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from manypath.errors import ConfigError
from manypath.multipath.routing import Routing, Trace
from manypath.quality import QUALITY_CODES
from manypath_lab.training.losses import DISTORTION_WEIGHT, PerceptualTerm, balance, psnr, ratio_loss, squared_error
from manypath_lab.training.qualities import draw_codes
from manypath_lab.training.recipe import SideTask
from manypath_lab.training.task_networks import Answer
from manypath_lab.training.teachers import load_task_network
from manypath_lab.training.wasserstein import WassersteinTerm, colour_error, grid_error, windows


class SidePicture(NamedTuple):
    """Reconstructions and how they were made.

    Attributes:
        x_hat: float [B, H, W, 3].
        routing: of the synthesis.
        trace: what the routing left.
        weight: what each sample weighs, [B]; all the same without.
    """

    x_hat: Tensor
    routing: Routing
    trace: Trace
    weight: Tensor | None = None


class SideTerms(NamedTuple):
    """A step's loss, and what it is made of as means over the batch, detached.

    ``perceptual`` is the distance of deep features, with the Wasserstein distortion where the path learns from that.
    """

    loss: Tensor
    psnr: float
    perceptual: float
    task: float


class SideLossTerms:
    """The loss of one side path.

    Args:
        task: what the path is for.
        device: where the networks run.
        rate_weights: the model's, a level each.

    Raises:
        ConfigError: the loss asks for a network's answer and there is no network.
    """

    def __init__(self, task: SideTask, device: torch.device, rate_weights: Sequence[float]) -> None:
        if task.loss.task > 0 and task.network is None:
            raise ConfigError(f"path {task.path!r}: loss.task needs a network; give --network")
        self._of = task
        self._rate_weights = tuple(rate_weights)
        self._wasserstein = WassersteinTerm.on(task.loss.features, device) if task.loss.wasserstein > 0 else None
        self._perceptual = PerceptualTerm.on(task.loss.features, device) if task.loss.perceptual > 0 else None
        names = () if task.network is None else (task.network, *task.also)
        self.networks = [load_task_network(name).to(device) for name in names]

    def routing(self, random: np.random.Generator, batch: int, fractions: float, device: torch.device) -> Routing:
        """Draw how a step routes: all tokens on the side, or a share per sample: a level, or any."""
        if random.random() < self._of.all_side:
            return Routing(self._of.path, torch.zeros(1, device=device), exact=True)
        codes = draw_codes(random, batch, fractions).to(device)
        share = 1.0 - codes.float() / (QUALITY_CODES - 1)
        return Routing(self._of.path, share, exact=False, noise=self._of.noise, level=codes)

    def __call__(
        self, picture: SidePicture, x: Tensor, code: Tensor, random: np.random.Generator, step: int
    ) -> SideTerms:
        """Return the loss of reconstructions of ``x``, [B, H, W, 3], coded at qualities int64 [B]."""
        x_hat, routing, trace, weight = picture
        weights = self._of.loss
        error = squared_error(x_hat, x)
        distance = x.new_zeros(len(x))
        if self._perceptual is not None and step % weights.perceptual_every == 0:
            distance = weights.perceptual_every * self._perceptual(x_hat, x)
        judged = weights.mse * error + weights.perceptual * distance
        if self._wasserstein is not None:
            distortion = self._wasserstein(x_hat, x, windows(code))
            judged = judged + weights.wasserstein * distortion
            distance = distance + distortion
        if weights.colour:
            judged = judged + weights.colour * colour_error(x_hat, x)
        if weights.grid:
            judged = judged + weights.grid * grid_error(x_hat, x)
        task = self._task(x_hat, x, random)
        scale = DISTORTION_WEIGHT * balance(code, self._rate_weights, balanced=weights.balanced)  # as in the main loss
        if weight is not None:
            scale = scale * weight
        loss = (scale * judged).mean() + weights.task * task
        if trace.soft_share:
            loss = loss + weights.ratio * ratio_loss(trace.soft_share, routing.share).mean()
        return SideTerms(
            loss, float(psnr(error.detach()).mean()), float(distance.detach().mean()), float(task.detach())
        )

    def _task(self, x_hat: Tensor, x: Tensor, random: np.random.Generator) -> Tensor:
        """Return how far the network's answer is from the one on the original, on one random square."""
        if not self.networks or self._of.loss.task == 0:
            return x.new_zeros(())
        network = self.networks[random.integers(len(self.networks))] if len(self.networks) > 1 else self.networks[0]
        low, high = self._of.input_share
        side = round(x.shape[1] * float(random.uniform(low, high)))
        top, left = random.integers(0, x.shape[1] - side + 1, 2)

        def see(picture: Tensor) -> Answer:
            square = picture[:, top : top + side, left : left + side].permute(0, 3, 1, 2).clamp(0, 1)
            size = self._of.input_side
            if size is not None and size != side:
                square = F.interpolate(square, size=(size, size), mode="bilinear", antialias=True)
            answer: Answer = network(square.contiguous(memory_format=torch.channels_last))
            return [tensor.float() for tensor in answer]

        with torch.no_grad():
            target = see(x)
        return network.distance(see(x_hat), target)
