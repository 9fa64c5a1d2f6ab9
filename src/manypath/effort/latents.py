"""Latents are moved, before they are rounded, to where distortion and bits together cost less.

The analysis guesses the latents of all pictures in one pass; for the picture at hand others are better. What is sought
is a low Lagrangian, 0.01 MSE + weight * bits per pixel, with the rate weights that the model was trained with. A *pass*

1. rounds the latents y to y_hat as the coder does, which tells each symbol's table,
2. takes the gradient g of the squared error of the main path's picture at y_hat,
3. moves y by a damped Newton step: ``y -= step ((g + weight * bits') / h - (y_hat - y))``.

``h`` is the error's curvature along one latent channel, and ``bits'`` what the symbol costs more for each step away
from zero. Of a quadratic error, ``g / h`` alone would hold the rounding's own error ``y_hat - y`` as well, which
another rounding does not make again: so it is taken out, and passes do not chase it. The step is a share of the longest
that cannot overshoot, and halves where the cost rose nevertheless; the latents of the least cost seen are taken.

At last each residual becomes its nearest symbol, or the next towards zero where the bits that this saves are worth the
error. Nothing of this is seen in the stream's format.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from manypath.coding import Chooser, SymbolCoder, inside, nearest
from manypath.effort.distortion import Original, Terrain, drawn, sloped, survey
from manypath.entropy.pricing import Pricing
from manypath.entropy.schedule import Step, at
from manypath.entropy.tables import SKIPPED_INDEX
from manypath.geometry import LATENT_PIXELS, ceil_div
from manypath.network import Network
from manypath.quality import LEVELS, QUALITY_STEPS

PASSES = (0, 1, 4, 12)  # of each effort
STEP = 0.7  # of the longest that cannot overshoot
RATE_SHARE = 0.5  # of the rate weight, in a pass: about the slope that a model's curves have
PRICE_SHARE = 0.15  # of it, in the rounding
_MOST_STEP = 0.5  # of a latent in one pass, in symbols


class _Rounded:
    """Rounds a target on its walk, as the coder will, and notes what a step needs; a ``Visitor``.

    Attributes:
        bits: of all symbols but the hyper-latent's.
        pull: bits that each residual costs more for a step away from zero, float [1, h * w, M].
        coded: 1 where a symbol is coded, else 0, of the same shape.
    """

    def __init__(self, pricing: Pricing, target: Tensor, choose: Chooser, held: Tensor | None, *, skips: bool) -> None:
        self.bits = 0.0
        self.pull, self.coded = torch.zeros_like(target), torch.ones_like(target)
        if held is not None:
            self.coded *= held
        self._pricing, self._target, self._choose, self._skips = pricing, target, choose, skips

    def __call__(self, step: Step, where: Tensor, means: Tensor, indexes: Tensor) -> Tensor:
        span = slice(step.start, step.start + step.width)
        coded = at(self.coded[..., span], where)
        if self._skips:
            coded = coded * (indexes != SKIPPED_INDEX)
        residuals = at(self._target[..., span], where) - means
        self.coded[:, where, span] = coded
        self.pull[:, where, span] = self._pricing.slope(residuals, indexes) * coded
        symbols = self._choose(step, residuals, indexes) * coded
        self.bits += float(self._pricing.bits(symbols, indexes).sum())
        return means + symbols


class Effort:
    """Spends time on the latents of one model.

    Args:
        model: frozen.
        coder: of the model.
    """

    def __init__(self, model: Network, coder: SymbolCoder) -> None:
        self._model = model
        self._pricing = Pricing(coder.latent_tables, skip=model.SKIPS, device=model.gain.log2.device)
        self._levels: dict[int, Terrain] = {}  # measured when a level is first asked for

    def weight(self, code: int) -> float:
        """Return what a bit weighs beside the distortion, geometric between levels."""
        low, above = _level(code)
        first, second = (math.log(self._model.config.rate_weights[level]) for level in (low, low + 1))
        return math.exp(first + (second - first) * above)

    def chooser(self, code: int) -> Chooser:
        """Return how residuals become symbols at a quality code: the rounding that ``SymbolCoder.encode`` takes."""
        price = 2 * PRICE_SHARE * self.weight(code) / self.terrain(code).curvature

        def choose(step: Step, residuals: Tensor, indexes: Tensor) -> Tensor:
            return self._pricing.cheaper(residuals, indexes, price[step.start : step.start + step.width])

        return choose

    def improve(self, y: Tensor, original: Original, code: int, passes: int) -> Tensor:
        """Return latents that cost less.

        Args:
            y: float32 [1, h, w, M], of the analysis, before the gain.
            original: the strip without margins.
            code: quality code.
            passes: how many.
        """
        model, codes = self._model, self._model.codes(code)
        gain: Tensor = model.gain(codes)[:, None, None]
        curvature, steepest = self.terrain(code)
        weight, choose = RATE_SHARE * self.weight(code), self.chooser(code)
        seen = (ceil_div(original.rows, LATENT_PIXELS), ceil_div(original.columns, LATENT_PIXELS))
        held = None if model.CODES_PADDING else inside(y, seen)
        features = model.h_s(model.hyper_symbols(model.hyper_latent(y, codes)), codes)
        target = (y * gain).flatten(1, 2)
        best, least, length = target, math.inf, STEP / steepest
        for left in range(passes, -1, -1):
            rounded = _Rounded(self._pricing, target, choose, held, skips=model.SKIPS)
            y_hat = model.walk(features, codes, rounded)
            distortion, gradient = sloped(
                model, model.refined(y_hat.clone(), features), original, code, wanted=left > 0
            )
            cost = distortion + weight * rounded.bits
            if cost < least:
                best, least = target, cost
            else:
                length = length / 2
            if gradient is not None:
                noise = y_hat.flatten(1, 2) - target
                newton = (gradient.flatten(1, 2) + weight * rounded.pull) / curvature - noise
                target = target - (newton * length).clamp_(-_MOST_STEP, _MOST_STEP) * rounded.coded
        return best.view(y.shape) / gain

    def terrain(self, code: int) -> Terrain:
        """Return how the distortion curves at a quality code, geometric between levels."""
        low, above = _level(code)
        for level in (low, low + 1):
            if level not in self._levels:
                with torch.inference_mode(False), torch.no_grad():
                    self._levels[level] = self._measured(level * QUALITY_STEPS)
        pairs = zip(self._levels[low], self._levels[low + 1], strict=True)
        return Terrain(*(torch.exp(torch.lerp(one.log(), two.log(), above)) for one, two in pairs))

    def _measured(self, code: int) -> Terrain:
        """Measure the terrain on a drawn picture: deterministic, and the model's own."""
        model, codes = self._model, self._model.codes(code)
        random = torch.Generator().manual_seed(0)
        x = drawn().to(codes.device)
        y = model.g_a(x, codes, model.analysis_routing(codes, exact=True), None).float()
        features = model.h_s(model.hyper_symbols(model.hyper_latent(y, codes)), codes)
        gained = (y * model.gain(codes)[:, None, None]).flatten(1, 2)
        rounded = _Rounded(self._pricing, gained, nearest, None, skips=model.SKIPS)
        y_hat = model.refined(model.walk(features, codes, rounded), features)
        return survey(model, y_hat, rounded.coded.view(y_hat.shape), code, random)


def _level(code: int) -> tuple[int, float]:
    """Return the level at or below a quality code, the last but one at most, and the levels above it."""
    low = min(code // QUALITY_STEPS, LEVELS - 2)
    return low, code / QUALITY_STEPS - low
