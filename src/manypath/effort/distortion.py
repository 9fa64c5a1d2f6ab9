"""What latents do to the main path's picture: its squared error, the gradient, and how the error curves.

Distortion is counted as in the Lagrangian of bits and pixels: 0.01 MSE on 0..255, times the pixels. Latents are those
that the synthesis sees: rounded, refined, in the gained domain.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from manypath.geometry import LATENT_PIXELS
from manypath.network import Network

_UNIT = 0.01 * 255.0**2 / 3  # a squared error of one sample in 0..1
_PIECE_POSITIONS = 2**12  # of the latent, whose picture is differentiated at once: 1 Mpx takes about 600 MB
_LEAST_ROWS = 8
_MARGIN = 4  # rows of the latent around a piece
_PROBES = 4
_STEEP_ROUNDS, _STEEP_CHANGE = 8, 0.3
_LEAST_CURVATURE = 0.1  # of the channels' mean
_DRAWN_SIDE = 128  # pixels
_LEAVES, _LEAST_LEAF, _LARGEST_LEAF = 700, 2.0, 100.0  # half sides of squares, pixels


class Original(NamedTuple):
    """What a strip should look like.

    Attributes:
        x: float32 [1, 16 h, 16 w, 3] in [0, 1], padded.
        rows: of pixels that hold picture; what is padding is not weighed.
        columns: the same.
    """

    x: Tensor
    rows: int
    columns: int


class Sloped(NamedTuple):
    """The distortion of a strip, and its gradient [1, h, w, M] by the latents if that was wanted."""

    distortion: float
    gradient: Tensor | None


class Terrain(NamedTuple):
    """How the distortion curves around the latents of one quality.

    Attributes:
        curvature: its second derivative along each channel, float [M].
        steepest: how many times more it curves where channels and positions act together, float [1], 1 or more.
    """

    curvature: Tensor
    steepest: Tensor


def sloped(model: Network, y_hat: Tensor, original: Original, code: int, *, wanted: bool) -> Sloped:
    """Return the distortion at y_hat [1, h, w, M], and its gradient if ``wanted``.

    Piece by piece, each with some rows around it, which bounds the memory.
    """
    height, width = y_hat.shape[1:3]
    piece = max(_LEAST_ROWS, _PIECE_POSITIONS // width)
    total = 0.0
    gradients = []
    for top in range(0, height, piece):
        bottom = min(height, top + piece)
        start, end = max(0, top - _MARGIN), min(height, bottom + _MARGIN)
        x = original.x[:, start * LATENT_PIXELS : end * LATENT_PIXELS]
        own = slice((top - start) * LATENT_PIXELS, (bottom - start) * LATENT_PIXELS)
        rows = max(0, original.rows - start * LATENT_PIXELS)

        def errors(picture: Tensor, x: Tensor = x, rows: int = rows) -> Tensor:
            return (picture.clamp(0.0, 1.0) - x)[:, :rows, : original.columns].square()

        if wanted:
            gradient, values = _differentiated(model, y_hat[:, start:end], code, errors)
            gradients.append(gradient[:, top - start : bottom - start])
        else:
            values = errors(_painted(model, y_hat[:, start:end], code))
        total += float(values[:, own].sum())
    return Sloped(total * _UNIT, torch.cat(gradients, 1) * _UNIT if wanted else None)


def survey(model: Network, y_hat: Tensor, coded: Tensor, code: int, random: torch.Generator) -> Terrain:
    """Measure the terrain around y_hat [1, h, w, M].

    A change of one unit changes the picture by a column of the Jacobian J; the squared length of that column is the
    mean of (J^T v)^2 over random signs v. The steepest direction comes by power iteration.

    Args:
        model: frozen.
        y_hat: of a picture of some hundred pixels a side.
        coded: 1 where a symbol is coded, else 0, float [1, h, w, M].
        code: quality code.
        random: of the probes.
    """
    height, width = (LATENT_PIXELS * side for side in y_hat.shape[1:3])
    total = torch.zeros(y_hat.shape[-1], device=y_hat.device)
    for _ in range(_PROBES):
        signs = torch.randint(0, 2, (1, height, width, 3), generator=random).float().mul_(2).sub_(1).to(y_hat.device)
        total += _turned(model, y_hat, code, signs).square().mean((0, 1, 2))
    curvature = total * (2 * _UNIT / _PROBES)
    curvature.clamp_(min=_LEAST_CURVATURE * float(curvature.mean()))
    painted = _painted(model, y_hat, code)
    direction = torch.randn(y_hat.shape, generator=random).to(y_hat.device) * coded
    steepest = torch.ones(1, device=y_hat.device)
    for _ in range(_STEEP_ROUNDS):
        direction = direction * (_STEEP_CHANGE / direction.square().sum().div(coded.sum()).sqrt().clamp_min(1e-30))
        change = _painted(model, y_hat + direction, code) - painted
        turned = _turned(model, y_hat, code, change) * coded * (2 * _UNIT) / curvature
        together, alone = ((direction * other * curvature).sum() for other in (turned, direction))
        steepest = torch.fmax(steepest, together / alone)  # takes no NaN, as of latents that are not coded at all
        direction = turned
    return Terrain(curvature, steepest)


@functools.cache
def drawn() -> Tensor:
    """Return a picture of leaves that lie on each other, whose edges are as those of photos: float32 [1, H, W, 3]."""
    random = torch.Generator().manual_seed(0)
    picture = torch.full((1, _DRAWN_SIDE, _DRAWN_SIDE, 3), 0.5)
    rows = torch.arange(_DRAWN_SIDE)
    for _ in range(_LEAVES):
        top, left, size, grain, *colour = torch.rand(7, generator=random).tolist()
        radius = _LEAST_LEAF / (size + (_LEAST_LEAF / _LARGEST_LEAF) ** 2) ** 0.5
        within = [(rows - place * _DRAWN_SIDE).abs() < radius for place in (top, left)]
        leaf = within[0][:, None] & within[1][None]
        noise = torch.randn(int(leaf.sum()), 1, generator=random) * (0.1 * grain)
        picture[0][leaf] = torch.tensor(colour) + noise
    return picture.clamp_(0.0, 1.0)


def _painted(model: Network, y_hat: Tensor, code: int) -> Tensor:
    """Return the main path's picture, float32 [B, 16 h, 16 w, 3], not clamped."""
    codes = model.codes(code)
    picture: Tensor = model.g_s(model.shared_tokens(y_hat, codes), codes, None)
    return picture.float()


def _turned(model: Network, y_hat: Tensor, code: int, picture: Tensor) -> Tensor:
    """Return the Jacobian's transpose times a picture."""

    def along(painted: Tensor) -> Tensor:
        return painted * picture

    return _differentiated(model, y_hat, code, along)[0]


def _differentiated(
    model: Network, y_hat: Tensor, code: int, measure: Callable[[Tensor], Tensor]
) -> tuple[Tensor, Tensor]:
    """Return the gradient of the sum of what ``measure`` makes of the main path's picture, and what that is."""
    with torch.inference_mode(False), torch.enable_grad():
        leaf = y_hat.clone().requires_grad_(True)
        values = measure(_painted(model, leaf, code))
        (gradient,) = torch.autograd.grad(values.sum(), leaf)
        return gradient.float(), values.detach()
