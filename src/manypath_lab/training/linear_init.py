"""The linear initialisation: a block KLT of 16x16 patches in the transforms' linear layers.

With every residual branch at zero, the untrained network is then a working transform codec. Measured on the
prototype: it saves the first hours of training.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from manypath.edge.config import EdgeConfig
from manypath.edge.context import ContextModel
from manypath.edge.transforms import Analysis, Synthesis
from manypath.entropy.tables import SCALE_MAX, SCALE_MIN, SCALES
from manypath.errors import ConfigError
from manypath.geometry import LATENT_PIXELS, TOKEN_PIXELS
from manypath.image import from_tokens, to_tokens
from manypath.network import Network
from manypath.quality import LEVELS
from manypath_lab.training.data import PictureSet

PATCHES = 20_000
SEEN_UNITS = 1.0  # a latent of one standard deviation is this much in what the context sees
SEEN_LIMIT = 16.0  # no smaller than 1/16 of a symbol per unit, so that rare symbols don't saturate at once


def _principal(samples: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the ``count`` principal directions [count, d] of samples [n, d], and their deviations."""
    covariance = samples.T.double() @ samples.double() / len(samples)  # second moments: grey is the origin
    values, vectors = torch.linalg.eigh(covariance)
    order = torch.argsort(values, descending=True)[:count]
    return vectors[:, order].T.float(), values[order].clamp_min(1e-12).sqrt().float()


def quantiser_step(rate_weight: float) -> float:
    """Return the step, in units of pixels in [0, 1], at which the rate's slope meets the distortion's.

    For L = rate_weight * bpp + 0.01 * MSE255 with an orthonormal transform of RGB patches, where the error of a
    coefficient is step^2 / 12 and halving the step costs one bit: step^2 = rate_weight * 18 / (0.01 * ln 2).
    """
    return math.sqrt(rate_weight * 18.0 / (0.01 * math.log(2.0))) / 255.0


@torch.no_grad()
def linear_init(model: Network, pictures: PictureSet, seed: int) -> Tensor:
    """Set the linear layers, gains and context tables; return each latent channel's deviation before the gain.

    Raises:
        ConfigError: the model's transforms have no linear layers to set.
    """
    config, g_a, g_s, context = model.config, model.g_a, model.g_s, model.context
    if not (isinstance(config, EdgeConfig) and isinstance(g_a, Analysis) and isinstance(g_s, Synthesis)):
        raise ConfigError(f"a linear start is for edge models; got {config.name!r}")
    assert isinstance(context, ContextModel)  # for the type checker: an edge model's is
    crops = pictures.crops(np.random.default_rng(seed), PATCHES // 16, 64)
    tokens = to_tokens(crops - 0.5, TOKEN_PIXELS)
    fine, _ = _principal(tokens.reshape(-1, tokens.shape[-1]), config.channels)
    coarse_in = to_tokens(tokens @ fine.T, 2)
    coarse, deviation = _principal(coarse_in.reshape(-1, coarse_in.shape[-1]), config.coarse_channels)
    g_a.embed.weight.copy_(fine)
    g_a.merge.weight.copy_(coarse)
    g_s.split.weight.copy_(coarse.T)
    g_s.paint.weight.copy_(fine.T)
    for layer in (g_a.embed, g_a.merge, g_s.split, g_s.paint):
        layer.bias.zero_()
    if g_a.detail is not None and g_s.detail is not None:
        carried = from_tokens(from_tokens(coarse_in @ coarse.T @ coarse, 2) @ fine, TOKEN_PIXELS)
        residual = to_tokens(crops - 0.5 - carried, LATENT_PIXELS)
        directions, left = _principal(residual.reshape(-1, residual.shape[-1]), config.detail_channels)
        g_a.detail.weight.copy_(directions)
        g_s.detail.weight.copy_(directions.T)
        deviation = torch.cat((deviation, left))
    steps = torch.tensor([quantiser_step(weight) for weight in config.rate_weights])
    log2_gain = -torch.log2(steps)[:, None].expand(LEVELS, config.latent_channels)
    model.gain.log2.copy_(log2_gain)
    model.inverse_gain.log2.copy_(-log2_gain)
    log2_deviation = torch.log2(deviation)[None] + log2_gain  # of the gained latent
    context.seen_gain.gain.log2.copy_((math.log2(SEEN_UNITS) - log2_deviation).clamp_max(math.log2(SEEN_LIMIT)))
    context.mean_gain.gain.log2.copy_(log2_deviation)
    per_octave = (SCALES - 1) / math.log2(SCALE_MAX / SCALE_MIN)
    # 0.7: the context explains about half of a latent's energy soon
    context.index_offset.gain.log2.copy_((log2_deviation + math.log2(0.7 / SCALE_MIN)) * per_octave)
    return deviation
