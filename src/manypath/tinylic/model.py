"""The network of the family ``tinylic``: the published one, with its entropy parameters in floats or in integers."""

from __future__ import annotations

import torch
from torch import Tensor

from manypath.entropy.schedule import Step, Visitor
from manypath.entropy.tables import Tables
from manypath.errors import ConfigError
from manypath.network import Network
from manypath.tinylic.config import TinyLICConfig
from manypath.tinylic.context import ContextModel, gaussian_tables, scale_index
from manypath.tinylic.fixed_hyper import FixedHyperSynthesis
from manypath.tinylic.hyper import HyperAnalysis, HyperSynthesis
from manypath.tinylic.transforms import REACH, Analysis, Synthesis


class TinyLICNetwork(Network):
    """The published codec network; see ``TinyLICConfig``."""

    SKIPS = False  # every symbol is coded, as in the published streams
    CODES_PADDING = True  # attention looks far into padding
    ONE_THREAD_POSITIONS = 0
    HYPER_BOUND = HyperSynthesis.BOUND
    STORED_DTYPE = torch.float32  # so that it computes what was published
    ROUNDS_WELL = False

    config: TinyLICConfig
    g_a: Analysis
    g_s: Synthesis
    h_a: HyperAnalysis
    h_s: HyperSynthesis | FixedHyperSynthesis
    context: ContextModel

    def __init__(self, config: TinyLICConfig) -> None:
        super().__init__()
        self.config = config
        self.g_a, self.g_s = Analysis(config), Synthesis(config)
        self.h_a = HyperAnalysis(config)
        self.h_s = FixedHyperSynthesis(config) if config.integer else HyperSynthesis(config)
        self.context = ContextModel(config)
        self.reaches = (REACH, REACH)
        self.exact = config.integer
        self._add_gains()

    def hyper_latent(self, y: Tensor, code: Tensor) -> Tensor:
        """Return z, after the hyper gain, of y before its gain."""
        z: Tensor = self.h_a(y * self.gain(code)[:, None, None], code)
        gained: Tensor = z * self.hyper_gain(code)[:, None, None]
        return gained

    def walk(self, features: Tensor, code: Tensor, visit: Visitor) -> Tensor:
        """Visit each step of the schedule; the context lives in the gained domain and asks for no quality."""

        def indexed(step: Step, where: Tensor, means: Tensor, scales: Tensor) -> Tensor:
            return visit(step, where, means, scale_index(scales))

        return self.context.walk(features, indexed)

    def walk_scales(self, features: Tensor, code: Tensor, visit: Visitor) -> Tensor:
        """Walk with standard deviations in place of their indexes, which have no gradient."""
        return self.context.walk(features, visit)

    def latent_tables(self) -> Tables:
        """Return the probability tables of the latent, one per scale index."""
        return gaussian_tables()

    def hyper_tables(self) -> Tables:
        """Return the probability tables of the hyper-latent, as its prior has learned them.

        Raises:
            ConfigError: the model has integers only, and no prior to make tables of.
        """
        if isinstance(self.h_s, FixedHyperSynthesis):
            raise ConfigError(f"{self.config.name!r} has integer entropy parameters and no prior; take its own tables")
        return self.h_s.prior.tables()

    @torch.no_grad()
    def randomise(self) -> Tables:
        """Give an untrained network scales that fit its latents; return tables of its hyper-latent."""
        self.gain.log2.copy_(torch.linspace(2.0, 6.0, len(self.gain.log2))[:, None])
        self.inverse_gain.log2.copy_(-self.gain.log2)
        self.context.start_scales(2.0)
        return self.hyper_tables()
