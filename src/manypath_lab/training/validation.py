"""Whether a run still learns: rate and distortion of pictures that it never trains on, by rounding and not by noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from manypath.network import Network
from manypath.quality import LEVELS, QUALITY_STEPS
from manypath_lab.training.losses import DISTORTION_WEIGHT, psnr, squared_error
from manypath_lab.training.rate import RateModel, RoundedBits

SHOWN_LEVELS = (0, 2, 4, 6, 7)  # those of the columns; a balanced mean over them is the one number


class RatePoint(NamedTuple):
    """Rate and distortion at one level, means over pictures.

    Attributes:
        bpp: of the latent and the hyper-latent, bits per pixel.
        psnr: of the mean squared error of each picture, dB.
        error: mean squared error on the 0..255 scale.
    """

    bpp: float
    psnr: float
    error: float


@torch.no_grad()
def rounded_bits(model: Network, rate: RateModel, x: Tensor, code: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return bits of y [B], bits of z [B] and reconstructions [B, H, W, 3] of pictures, symbols rounded.

    Args:
        model: of the edge family.
        rate: its priors.
        x: float32 [B, H, W, 3] in [0, 1], sides multiples of 64.
        code: quality codes, int64 [B].
    """
    bits = RoundedBits()
    latents = model.latents(x, code, bits)
    x_hat = model.g_s(model.shared_tokens(latents.y_hat, code), code, None).float().clamp(0, 1)
    return bits.bits, rate.hyper_bits(latents.z, code, rounded=True), x_hat


def validate(
    model: Network,
    rate: RateModel,
    pictures: Sequence[Tensor],
    levels: Sequence[int] = SHOWN_LEVELS,
    autocast: bool = False,
) -> list[RatePoint]:
    """Return one point a level, of pictures float32 [1, H, W, 3] with sides that are multiples of 64."""
    points = []
    for level in levels:
        rates, errors = [], []
        for x in pictures:
            code = torch.full((1,), level * QUALITY_STEPS, device=x.device)
            with torch.autocast(x.device.type, torch.bfloat16, enabled=autocast):
                y_bits, z_bits, x_hat = rounded_bits(model, rate, x, code)
            rates.append(float(y_bits + z_bits) / (x.shape[1] * x.shape[2]))
            errors.append(squared_error(x_hat, x)[0])
        error = torch.stack(errors)
        points.append(RatePoint(sum(rates) / len(rates), float(psnr(error).mean()), float(error.mean())))
    return points


def lagrangian(points: Sequence[RatePoint], levels: Sequence[int], rate_weights: Sequence[float]) -> float:
    """Return the mean over levels of the balanced Lagrangian that training minimises: lower is better."""
    terms = []
    for point, level in zip(points, levels, strict=True):
        weight = rate_weights[level]
        terms.append((weight * point.bpp + DISTORTION_WEIGHT * point.error) / math.sqrt(weight))
    return sum(terms) / len(terms)


def columns(levels: Sequence[int] = SHOWN_LEVELS) -> tuple[str, ...]:
    """Return the names of a validation's columns in ``curves.csv``: quality 1 is level 0."""
    assert max(levels) < LEVELS
    pairs = ((f"bpp_q{level + 1}", f"psnr_q{level + 1}") for level in levels)
    return ("lagrangian", *(name for pair in pairs for name in pair))
