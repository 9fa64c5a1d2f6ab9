"""Training losses: rate against distortion at eight levels, the predictors' ratio, a perceptual term."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from manypath.levels import interpolate
from manypath_lab.training.factories import make_network

DISTORTION_WEIGHT = 0.01


def rate_weight(code: Tensor, weights: Sequence[float]) -> Tensor:
    """Return the rate's weight, geometric between a model's levels, [B] for quality codes int64 [B]."""
    return torch.exp(interpolate(torch.log(torch.tensor(weights, device=code.device)), code))


def squared_error(x_hat: Tensor, x: Tensor) -> Tensor:
    """Return the mean squared error on the 0..255 scale, [B]."""
    return (x_hat - x).square().flatten(1).mean(1) * 255.0**2


def luminance(x: Tensor) -> Tensor:
    """Return BT.601 luma, [B, 1, H, W], of pictures [B, H, W, 3]."""
    return (x @ x.new_tensor([0.299, 0.587, 0.114]))[:, None]


def seen_error(x_hat: Tensor, x: Tensor, error: Tensor, dark: float, low_pass: float) -> Tensor:
    """Return the squared error as eyes weigh it, on the 0..255 scale, [B].

    Plain squared error starves dark scenes and lets flat areas grow blotchy, which people see first.

    Args:
        x_hat: reconstructions, [B, H, W, 3].
        x: originals.
        error: their squared error, [B].
        dark: share of the error that counts by one over the brightness around each pixel.
        low_pass: weight of the squared error of means over 8x8 pixels, added.
    """
    out = error
    if dark:
        around = F.avg_pool2d(luminance(x), 16, ceil_mode=True)
        weight = (0.4 / (around.clamp(0, 1) + 0.1)).clamp(0.5, 3.0)
        squares = F.avg_pool2d((x_hat - x).square().mean(-1)[:, None], 16, ceil_mode=True)
        out = (1 - dark) * error + dark * (weight * squares).flatten(1).mean(1) * 255.0**2
    if low_pass:
        means = F.avg_pool2d((x_hat - x).permute(0, 3, 1, 2), 8)
        out = out + low_pass * means.square().flatten(1).mean(1) * 255.0**2
    return out


def structural_similarity(x_hat: Tensor, x: Tensor) -> Tensor:
    """Return MS-SSIM, [B], of pictures [B, H, W, 3] with sides of more than 160 pixels."""
    from pytorch_msssim import ms_ssim

    pair = (picture.permute(0, 3, 1, 2).float() for picture in (x_hat.clamp(0, 1), x))
    similarity: Tensor = ms_ssim(*pair, data_range=1.0, size_average=False)
    return similarity


def psnr(error: Tensor) -> Tensor:
    """Return the peak signal-to-noise ratio, dB, of squared errors on the 0..255 scale."""
    return 10 * torch.log10(255.0**2 / error.clamp_min(1e-3))


def balance(code: Tensor, weights: Sequence[float], *, balanced: bool = True) -> Tensor:
    """Return the factor of each sample's loss, [B]: one over the root of its rate weight.

    So all levels train alike. Unbalanced it is 1, as in the published training, where low rates have the larger loss.
    """
    weight = rate_weight(code, weights)
    return weight.rsqrt() if balanced else torch.ones_like(weight)


def rate_distortion(
    bpp: Tensor, error: Tensor, code: Tensor, weights: Sequence[float], *, balanced: bool = True
) -> Tensor:
    """Return the Lagrangian, [B], times its ``balance``."""
    lagrangian = rate_weight(code, weights) * bpp + DISTORTION_WEIGHT * error
    return lagrangian * balance(code, weights, balanced=balanced)


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
            target = self.features(x.permute(0, 3, 1, 2))
        total = x.new_zeros(x.shape[0])
        for ours, theirs in zip(self.features(x_hat.permute(0, 3, 1, 2)), target, strict=True):
            difference = F.normalize(ours, dim=1, eps=1e-6) - F.normalize(theirs, dim=1, eps=1e-6)
            total = total + difference.square().sum(1).flatten(1).mean(1)
        return total
