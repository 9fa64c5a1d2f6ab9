"""The whole network, for training and analysis; the codec drives the same parts with real bytes.

::

    x -> g_a -> y -> h_a -> * hyper_gain -> round -> z_hat -> h_s -> features
                |                                                      |
                +--- * gain -------------------> context.walk <--------+
                                                      |
                          x_hat <- g_s <- * inverse_gain <- y_hat
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from manypath.config import ModelConfig
from manypath.edge.config import EdgeConfig
from manypath.edge.context import ContextModel, index_to_scale
from manypath.edge.hyper import HyperSynthesis
from manypath.edge.transforms import Analysis, HyperAnalysis, Synthesis, analysis_reach, synthesis_reach
from manypath.entropy.rounding import round_through
from manypath.entropy.schedule import Step
from manypath.errors import ConfigError
from manypath.levels import Gain
from manypath.multipath.routing import LOW, Routing, Trace, main_share
from manypath.quality import QUALITY_STEPS
from manypath.tinylic.config import TinyLICConfig
from manypath.tinylic.context import MultistageContext
from manypath.tinylic.fixed_hyper import FixedHyperSynthesis
from manypath.tinylic.hyper import PyramidHyperAnalysis, PyramidHyperSynthesis
from manypath.tinylic.transforms import REACH, PyramidAnalysis, PyramidSynthesis

HYPER_BOUND = HyperSynthesis.BOUND

Rate = Callable[[Step, Tensor, Tensor, Tensor], None]
"""Told (step, y, means, standard deviations) at each step; training's rate model adds up bits from it."""


class Latents(NamedTuple):
    """What the analysis and the estimate give.

    Attributes:
        y: float [B, h, w, M], before the gain.
        z: float [B, h/4, w/4, K], after the hyper gain, before rounding.
        y_hat: float32 [B, h, w, M], in the gained domain.
        trace: the analysis' routing.
    """

    y: Tensor
    z: Tensor
    y_hat: Tensor
    trace: Trace


class ModelOutput(NamedTuple):
    """What one pass gives: x_hat, float [B, H, W, 3], not clamped, and what ``Latents`` holds."""

    x_hat: Tensor
    y: Tensor
    z: Tensor
    y_hat: Tensor
    trace: Trace


class MPAModel(nn.Module):
    """Multi-path aggregation codec network (MPA, arXiv 2409.19660), on the backbone of its configuration's family.

    Attributes:
        reaches: margins, in pixels, that the analysis and the synthesis of a strip want around it.
        exact: whether the entropy parameters are integers, equal on every machine and in every batch.
    """

    g_a: Analysis | PyramidAnalysis
    g_s: Synthesis | PyramidSynthesis
    h_a: HyperAnalysis | PyramidHyperAnalysis
    h_s: HyperSynthesis | PyramidHyperSynthesis | FixedHyperSynthesis
    context: ContextModel | MultistageContext

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        if isinstance(config, EdgeConfig):
            self.g_a, self.g_s = Analysis(config), Synthesis(config)
            self.h_a, self.h_s = HyperAnalysis(config), HyperSynthesis(config)
            self.context = ContextModel(config)
            self.reaches = (analysis_reach(config), synthesis_reach(config))
        elif isinstance(config, TinyLICConfig):
            self.g_a, self.g_s = PyramidAnalysis(config), PyramidSynthesis(config)
            self.h_a = PyramidHyperAnalysis(config)
            self.h_s = FixedHyperSynthesis(config) if config.integer else PyramidHyperSynthesis(config)
            self.context = MultistageContext(config)
            self.reaches = (REACH, REACH)
        else:
            raise ConfigError(f"no network is built from a {type(config).__name__}")
        self.exact = isinstance(config, EdgeConfig) or config.integer
        self.gain = Gain(config.latent_channels)
        self.inverse_gain = Gain(config.latent_channels)
        self.hyper_gain = Gain(config.hyper_channels)

    def analysis_routing(self, code: Tensor, *, exact: bool, noise: float = 0.0) -> Routing:
        """Return how the analysis routes at quality codes int64 [B] (MPA section 3.2, rho_enc)."""
        quality = 1.0 + code.double() / QUALITY_STEPS
        share = main_share(quality)
        return Routing(LOW, share if exact else share.float(), exact, noise)

    def hyper_latent(self, y: Tensor, code: Tensor) -> Tensor:
        """Return z, after the hyper gain, of y before its gain."""
        if isinstance(self.h_a, PyramidHyperAnalysis):
            z: Tensor = self.h_a(y * self.gain(code)[:, None, None], code)
        else:
            z = self.h_a(y)
        gained: Tensor = z * self.hyper_gain(code)[:, None, None]
        return gained

    def latents(self, x: Tensor, code: Tensor, rate: Rate | None = None, noise: float = 0.0) -> Latents:
        """Run analysis and estimate.

        Args:
            x: float32 [B, H, W, 3] in [0, 1], sides multiples of 64.
            code: quality codes, int64 [B].
            rate: told each step's values.
            noise: how much routes are explored (training).
        """
        trace = Trace([], [])
        y = self.g_a(x, code, self.analysis_routing(code, exact=False, noise=noise), trace)
        with torch.autocast(x.device.type, enabled=False):
            y = y.float()
            z = self.hyper_latent(y, code)
            features = self.h_s(self.h_s.symbols(z), code)
            gained = (y * self.gain(code)[:, None, None]).flatten(1, 2)

            published = isinstance(self.context, MultistageContext)

            def visit(step: Step, where: Tensor, means: Tensor, spread: Tensor) -> Tensor:
                own = gained[:, where, step.start : step.start + step.width]
                if rate is not None:
                    rate(step, own, means, spread if published else index_to_scale(spread))
                return means + round_through(own - means)

            if isinstance(self.context, MultistageContext):  # its indexes have no gradient
                y_hat = self.context.walk_scales(features, visit)
            else:
                y_hat = self.context.walk(features, code, visit)
            return Latents(y, z, y_hat, trace)

    def shared_tokens(self, y_hat: Tensor, code: Tensor) -> Tensor:
        """Return what all paths of the synthesis have in common, [B, H/8, W/8, C]."""
        with torch.autocast(y_hat.device.type, enabled=False):
            scaled = y_hat * self.inverse_gain(code)[:, None, None]
        return self.g_s.shared(scaled, code)

    def forward(self, x: Tensor, code: Tensor, rate: Rate | None = None, noise: float = 0.0) -> ModelOutput:
        """Run analysis, estimate and synthesis on the main path; the arguments are those of ``latents``."""
        made = self.latents(x, code, rate, noise)
        return ModelOutput(self.g_s(self.shared_tokens(made.y_hat, code), code, None), *made)
