"""Training losses: rate against distortion at eight levels, the predictors' ratio, a perceptual term."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from manypath.quality import LEVELS, QUALITY_STEPS
from manypath_lab.training.factories import make_network

# MPA section 5.1: weights of the rate beside 0.01 * MSE on 0..255, for quality 1..8
RATE_WEIGHTS = (18.0, 9.32, 4.83, 2.5, 1.3, 0.67, 0.35, 0.18)
DISTORTION_WEIGHT = 0.01


def rate_weights() -> tuple[float, ...]:
    """Return the rate's weight for each level."""
    return RATE_WEIGHTS


def rate_weight(code: Tensor) -> Tensor:
    """Return the rate's weight, geometric between levels, [B] for quality codes int64 [B]."""
    table = torch.log(torch.tensor(RATE_WEIGHTS, device=code.device))
    position = code.float() / QUALITY_STEPS
    low = position.floor().clamp(0, LEVELS - 2)
    index = low.long()
    return torch.exp(torch.lerp(table[index], table[index + 1], position - low))


def squared_error(x_hat: Tensor, x: Tensor) -> Tensor:
    """Return the mean squared error on the 0..255 scale, [B]."""
    return (x_hat - x).square().flatten(1).mean(1) * 255.0**2


def balance(code: Tensor, *, balanced: bool = True) -> Tensor:
    """Return the factor of each sample's loss, [B]: one over the root of its rate weight.

    So all levels train alike. Unbalanced it is 1, as in the published training, where low rates have the larger loss.
    """
    weight = rate_weight(code)
    return weight.rsqrt() if balanced else torch.ones_like(weight)


def rate_distortion(bpp: Tensor, error: Tensor, code: Tensor, *, balanced: bool = True) -> Tensor:
    """Return the Lagrangian, [B], times its ``balance``."""
    return (rate_weight(code) * bpp + DISTORTION_WEIGHT * error) * balance(code, balanced=balanced)


def ratio_loss(soft_shares: list[Tensor], share: Tensor) -> Tensor:
    """Return the mean over groups of (mean of the soft mask - share)^2, [B]. Source: MPA section 3.3."""
    return torch.stack([(soft - share).square() for soft in soft_shares]).mean(0)


class PerceptualTerm(torch.nn.Module):
    """Distance between deep features, each position's vector brought to unit length (as LPIPS compares them).

    Args:
        features: network [B, 3, H, W] in [0, 1] -> list of feature maps [B, C, h, w]; frozen by this class.
    """

    def __init__(self, features: torch.nn.Module) -> None:
        super().__init__()
        self.features = features.eval().requires_grad_(False)

    @classmethod
    def default(cls, device: torch.device) -> PerceptualTerm:
        """Return the term on EfficientNet-Lite0's features."""
        return cls.on(None, device)

    @classmethod
    def on(cls, features: str | None, device: torch.device) -> PerceptualTerm:
        """Return the term on the features of ``module:factory``, or of EfficientNet-Lite0.

        Raises:
            ConfigError: no such factory, or it makes no network.
        """
        from manypath_lab.training.features import EfficientNetFeatures

        return cls(EfficientNetFeatures() if features is None else make_network(features)).to(device)

    def forward(self, x_hat: Tensor, x: Tensor) -> Tensor:
        """Return the distance, [B], of pictures [B, H, W, 3]."""
        with torch.no_grad():
            wanted = self.features(x.permute(0, 3, 1, 2))
        total = x.new_zeros(x.shape[0])
        for ours, theirs in zip(self.features(x_hat.permute(0, 3, 1, 2)), wanted, strict=True):
            difference = F.normalize(ours, dim=1, eps=1e-6) - F.normalize(theirs, dim=1, eps=1e-6)
            total = total + difference.square().sum(1).flatten(1).mean(1)
        return total
