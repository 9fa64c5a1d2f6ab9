"""The discriminator: tells originals from reconstructions, patch by patch, knowing the latent and the quality.

Source: MPA section 4, after HiFiC (Mentzer et al. 2020). The published training keeps eight copies, one per level, of
which each sees an eighth of the pictures. Here it is one network for all qualities: eight more input channels say which
level a picture has, and between two levels they blend, so that qualities between levels have a discriminator as well.
"""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from manypath.geometry import LATENT_PIXELS
from manypath.quality import LEVELS, QUALITY_STEPS

CONTEXT = 12  # channels that are made of the latent
LAYERS = 4  # of stride 2: a logit per 16x16 pixels
SLOPE = 0.2  # of the leaky ReLUs
START = 0.02  # standard deviation of the untrained weights


def level_blend(code: Tensor) -> Tensor:
    """Return how much of each level a quality is, float [B, 8], for codes int64 [B]: 1 at a level, linear between."""
    position = code.float() / QUALITY_STEPS
    levels = torch.arange(LEVELS, device=code.device)
    return (1.0 - (position[:, None] - levels).abs()).clamp_min(0.0)


class Discriminator(nn.Module):
    """Judges pictures [B, H, W, 3] in [0, 1], given the quantised latent [B, H/16, W/16, M] that they were made from.

    Args:
        latent_channels: M.
        width: channels of the first layer; the last has eight times as many.
    """

    def __init__(self, latent_channels: int, width: int) -> None:
        super().__init__()
        self.context = nn.Conv2d(latent_channels, CONTEXT, 3, padding=1, padding_mode="reflect")
        widths = (3 + CONTEXT + LEVELS, *(width * 2**number for number in range(LAYERS)))
        self.layers = nn.ModuleList(
            nn.Conv2d(inputs, outputs, 4, stride=2, padding=1, padding_mode="reflect")
            for inputs, outputs in itertools.pairwise(widths)
        )
        self.judge = nn.Conv2d(widths[-1], 1, 1)
        for layer in (self.context, *self.layers, self.judge):
            assert isinstance(layer, nn.Conv2d)  # for the type checker: all are
            assert layer.bias is not None
            nn.init.normal_(layer.weight, std=START)
            nn.init.zeros_(layer.bias)
        for layer in self.layers:
            spectral_norm(layer)

    def forward(self, x: Tensor, y_hat: Tensor, code: Tensor) -> Tensor:
        """Return logits, float [B, H/16 * W/16], high for what looks like an original."""
        known = F.leaky_relu(self.context(y_hat.permute(0, 3, 1, 2)), SLOPE)
        known = F.interpolate(known, scale_factor=float(LATENT_PIXELS), mode="nearest")
        levels = level_blend(code)[:, :, None, None].expand(-1, -1, *known.shape[2:])
        x = torch.cat((2.0 * x.permute(0, 3, 1, 2) - 1.0, known, levels), 1)
        for layer in self.layers:
            x = F.leaky_relu(layer(x), SLOPE)
        logits: Tensor = self.judge(x)
        return logits.flatten(1)
