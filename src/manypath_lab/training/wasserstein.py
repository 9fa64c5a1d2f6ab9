"""Wasserstein distortion: pictures are alike where deep features have the same local means and deviations.

Within a window it does not matter where exactly a blade of grass lies, only how much grass there is; so a decoder is
not asked to average over all lawns that fit the bits, which is blur. Windows grow where the rate is low. With windows
of one position it is the squared difference of features. Source: Qiu, Wagner, Ballé and Theis, "Wasserstein
Distortion", 2023.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from manypath.geometry import TOKEN_PIXELS, WINDOW_PIXELS
from manypath.levels import interpolate
from manypath_lab.training.factories import make_network
from manypath_lab.training.features import EfficientNetFeatures
from manypath_lab.training.losses import luminance

# Level of windows at quality 1 to 8: 0 are single positions of a map, each next level has windows twice as wide. They
# are counted in positions and not in pixels: at a low rate nobody can know what a map of stride 16 holds at each of its
# positions, and grain that would have to leave it alone stays away.
LEVELS = (3.0, 3.0, 2.0, 2.0, 1.0, 1.0, 0.0, 0.0)
WINDOW = 4  # positions on a window's side at the first level; its deviation is about one
ROOT_FLOOR = 0.1  # of deviations, in their maps' unit: a root's gradient is at most 1 / (2 * ROOT_FLOOR)
CONTRAST = 0.2  # deviation of luma, in 0..1, at which the term has half its weight: text and edges are no texture
CONTRAST_SIDE = 16  # pixels, side of the square in which it is measured
LITE_DEVIATION = 7.0  # of a channel of EfficientNet-Lite's maps over photographs: 6.2 to 9.2, whichever network and map


def _halved(x: Tensor) -> Tensor:
    """Return means of windows at half the resolution, of [B, C, h, w]."""
    return F.avg_pool2d(x, WINDOW, stride=2, padding=WINDOW // 2 - 1, count_include_pad=False)


def _root(variance: Tensor) -> Tensor:
    """Return a deviation whose gradient is bounded, 0 for 0."""
    return torch.sqrt(variance.clamp_min(0.0) + ROOT_FLOOR**2) - ROOT_FLOOR


def local_distances(ours: Tensor, theirs: Tensor, levels: int) -> list[Tensor]:
    """Return the distortion at every level of windows, [B, 1, h, w] and half of that from one to the next.

    Args:
        ours: features, [B, C, h, w].
        theirs: the original's.
        levels: beyond the first, whose windows are single positions.
    """
    distances = [(ours - theirs).square().mean(1, keepdim=True)]
    means, squares = [ours, theirs], [ours.square(), theirs.square()]
    for _ in range(levels):
        if min(means[0].shape[-2:]) < 2:  # one position has no wider window
            distances.append(distances[-1])
            continue
        means, squares = [_halved(x) for x in means], [_halved(x) for x in squares]
        deviations = [_root(square - mean.square()) for mean, square in zip(means, squares, strict=True)]
        apart = [(one - other).square().mean(1, keepdim=True) for one, other in (means, deviations)]
        distances.append(apart[0] + apart[1])
    return distances


def windows(code: Tensor) -> Tensor:
    """Return the level of windows at quality codes int64 [B], [B]."""
    return interpolate(torch.tensor(LEVELS, device=code.device), code)


def texture_weight(x: Tensor) -> Tensor:
    """Return how much each place of pictures [B, H, W, 3] may be texture, [B, 1, H/8, W/8] in 0..1.

    Where contrast is high there are letters, edges and eyes, of which people see exactly where they lie.
    """
    luma = luminance(x)
    half = CONTRAST_SIDE // 2
    mean, square = (
        F.avg_pool2d(own, CONTRAST_SIDE, half, half // 2, count_include_pad=False) for own in (luma, luma**2)
    )
    variance = (square - mean.square()).clamp_min(0.0)
    return 1.0 / (1.0 + (variance / CONTRAST**2).square())


def colour_error(x_hat: Tensor, x: Tensor) -> Tensor:
    """Return the absolute error of means over 8x8 and over 16x16 pixels, added, on the 0..255 scale, [B]."""
    error = (x_hat - x).permute(0, 3, 1, 2)
    fine, coarse = (F.avg_pool2d(error, side).abs().flatten(1).mean(1) for side in (8, 16))
    return 255.0 * (fine + coarse)


def grid_error(x_hat: Tensor, x: Tensor) -> Tensor:
    """Return the squared error of what every token repeats, on the 0..255 scale, [B].

    Means over the tokens of a window, at each of a token's 8x8 pixels: of independent grain a 64th is left, of a
    pattern that stands in every token all of it. Statistics of features cannot tell the two apart, and people can.
    """
    error = x_hat - x
    b, h, w, c = error.shape
    step, side = TOKEN_PIXELS, WINDOW_PIXELS
    tokens = error[:, : h // side * side, : w // side * side]
    tokens = tokens.reshape(b, h // side, side // step, step, w // side, side // step, step, c)
    repeated = tokens.mean((2, 5))  # [B, windows, 8, windows, 8, 3]
    repeated = repeated - repeated.mean((2, 4), keepdim=True)
    return repeated.square().flatten(1).mean(1) * 255.0**2


class WassersteinTerm(nn.Module):
    """Wasserstein distortion of a network's maps, with windows as wide as the quality is low.

    Args:
        features: network [B, 3, H, W] in [0, 1] -> maps [B, C, h, w]; frozen by this class.
        deviation: a typical one of the maps' channels, which they are divided by.
    """

    def __init__(self, features: nn.Module, deviation: float = 1.0) -> None:
        super().__init__()
        self.features = features.eval().requires_grad_(False)
        self.deviation = deviation

    @classmethod
    def on(cls, features: str | None, device: torch.device) -> WassersteinTerm:
        """Return the term on the features of ``module:factory``, or of EfficientNet-Lite0.

        Raises:
            ConfigError: no such factory, or it makes no network.
        """
        if features is None:
            return cls(EfficientNetFeatures(), LITE_DEVIATION).to(device)
        return cls(make_network(features)).to(device)

    def forward(self, x_hat: Tensor, x: Tensor, level: Tensor, *, faded: bool = True) -> Tensor:
        """Return the distortion, summed over maps, [B].

        Args:
            x_hat: reconstructions, [B, H, W, 3].
            x: originals.
            level: of each picture's windows, float [B]; see ``windows``.
            faded: whether places of high contrast count less.
        """
        with torch.no_grad():
            target = self.features(x.permute(0, 3, 1, 2))
            weight = texture_weight(x) if faded else torch.ones_like(x[:, :1, :1, :1])
        total = x.new_zeros(len(x))
        for ours, theirs in zip(self.features(x_hat.permute(0, 3, 1, 2)), target, strict=True):
            distances = local_distances(ours / self.deviation, theirs / self.deviation, math.ceil(float(level.max())))
            for number, distance in enumerate(distances):
                share = (1.0 - (level - number).abs()).clamp_min(0.0)  # linear between two levels
                own = F.interpolate(weight, distance.shape[-2:], mode="bilinear", align_corners=False)
                total = total + share * (own * distance).flatten(1).mean(1)
        return total
