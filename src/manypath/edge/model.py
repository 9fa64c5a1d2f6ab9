"""The network of the family ``edge``: windows route on their own, and entropy parameters are integers."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from manypath.edge.config import EdgeConfig
from manypath.edge.context import ContextModel, index_to_scale
from manypath.edge.hyper import HyperSynthesis
from manypath.edge.integer import FRACTION
from manypath.edge.transforms import Analysis, HyperAnalysis, Synthesis, analysis_reach, synthesis_reach
from manypath.entropy.schedule import Step, Visitor
from manypath.entropy.tables import Tables, gaussian_row, gaussian_tables, stack
from manypath.levels import Gain, nearest_level
from manypath.multipath.layers import zeroed
from manypath.network import Network
from manypath.products import Linear

REFINE_UNIT = 2.0**-FRACTION  # hyper features are counted in these


class EdgeNetwork(Network):
    """A codec network for cameras; see ``EdgeConfig``."""

    SKIPS = True
    CODES_PADDING = False
    # The integer networks are so small that waking a second thread costs more than it helps: a 768x512 picture of
    # 1536 positions took 59 ms with two threads and 40 ms with one.
    ONE_THREAD_POSITIONS = 4096
    HYPER_BOUND = HyperSynthesis.BOUND
    STORED_DTYPE = torch.float16
    ROUNDS_WELL = True
    MOST_EFFORT = 3

    config: EdgeConfig
    g_a: Analysis
    g_s: Synthesis
    h_a: HyperAnalysis
    h_s: HyperSynthesis
    context: ContextModel

    def __init__(self, config: EdgeConfig) -> None:
        super().__init__()
        self.config = config
        self.g_a, self.g_s = Analysis(config), Synthesis(config)
        self.h_a, self.h_s = HyperAnalysis(config), HyperSynthesis(config)
        self.context = ContextModel(config)
        self.reaches = (analysis_reach(config), synthesis_reach(config))
        self.exact = True
        self.refine = zeroed(Linear(config.features, config.coarse_channels)) if config.refined else None
        self._add_gains()

    def hyper_latent(self, y: Tensor, code: Tensor) -> Tensor:
        """Return z, after the hyper gain, of y before its gain."""
        z: Tensor = self.h_a(y) * self.hyper_gain(code)[:, None, None]
        return z

    def walk(self, features: Tensor, code: Tensor, visit: Visitor) -> Tensor:
        """Visit each step of the schedule; y_hat is in multiples of 1/16 where it is decoded."""
        return self.context.walk(features, code, visit)

    def walk_scales(self, features: Tensor, code: Tensor, visit: Visitor) -> Tensor:
        """Walk with standard deviations in place of their indexes."""

        def scaled(step: Step, where: Tensor, means: Tensor, indexes: Tensor) -> Tensor:
            return visit(step, where, means, index_to_scale(indexes))

        return self.context.walk(features, code, scaled)

    def refined(self, y_hat: Tensor, features: Tensor) -> Tensor:
        """Add what the hyper features say of the latents, in place where no gradient is wanted."""
        if self.refine is None:
            return y_hat
        added = self.refine(features.to(self.refine.weight.dtype) * REFINE_UNIT).to(y_hat.dtype)
        if torch.is_grad_enabled():
            return y_hat + F.pad(added, (0, y_hat.shape[-1] - added.shape[-1]))
        y_hat[..., : added.shape[-1]] += added
        return y_hat

    def latent_tables(self) -> Tables:
        """Return the probability tables of the latent, one per scale index."""
        return gaussian_tables()

    def hyper_table_sets(self) -> int:
        """Return how many sets of tables the hyper-latent has: one, or one a level."""
        return self.config.hyper_levels

    def hyper_table_set(self, code: int) -> int:
        """Return which set serves a quality code."""
        return nearest_level(code) if self.config.hyper_levels > 1 else 0

    def set_transform_dtype(self, dtype: torch.dtype) -> None:
        """Let the blocks' products be in ``dtype``, and the hyper-analysis, which costs no bits.

        What blocks add to, and the layers outside them, stay in float32. With the whole transforms in bfloat16, Kodak's
        kodim23 lost 0.34 dB at quality 8; so it loses less than 0.05 dB.
        """
        self.h_a.to(dtype)
        for transform in (self.g_a, self.g_s):
            for group in (*transform.groups, transform.coarse):
                group.to(dtype)
                for module in group.modules():
                    if isinstance(module, Gain):
                        module.float()

    @torch.no_grad()
    def randomise(self) -> Tables:
        """Give an untrained network something to do; return tables of its hyper-latent."""
        for parameter in self.parameters():
            if parameter.dim() > 1 and not parameter.any():
                parameter.normal_(0, 0.02)  # residual branches begin at zero
        for inward, outward in ((self.g_a.embed, self.g_s.paint), (self.g_a.merge, self.g_s.split)):
            nn.init.orthogonal_(inward.weight)
            outward.weight.copy_(inward.weight.T)
        if self.g_a.detail is not None and self.g_s.detail is not None:
            nn.init.orthogonal_(self.g_a.detail.weight)
            self.g_s.detail.weight.copy_(0.1 * self.g_a.detail.weight.T)
        self.gain.log2.copy_(torch.linspace(0.0, 4.0, len(self.gain.log2))[:, None])
        self.inverse_gain.log2.copy_(-self.gain.log2)
        self.hyper_gain.log2.fill_(2.0)
        self.context.index_offset.gain.log2.fill_(20.0)
        return stack([gaussian_row(16.0)] * (self.hyper_table_sets() * self.config.hyper_channels))
