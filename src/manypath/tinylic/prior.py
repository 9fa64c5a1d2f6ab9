"""The factorised prior of a float hyper-latent: one learned distribution per channel.

Source: Balle et al. 2018, appendix 6.1, as CompressAI's entropy bottleneck and MPA section 3.1 use it.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from manypath.entropy.rounding import clamp_through
from manypath.entropy.tables import Tables, stack

WIDTHS = (1, 3, 3, 3, 3, 1)
INIT_SCALE = 10.0
LIKELIHOOD_FLOOR = 1e-9
TABLE_LIMIT = 255  # largest |symbol| that a table may hold; the escapes carry the rest
TAIL_MASS = 1e-9  # beyond the outer quantiles together
QUANTILE_DOUBLINGS, QUANTILE_HALVINGS = 16, 40
NEGLIGIBLE = 1e-7  # probability below which a symbol is left to the escapes


class FactorizedPrior(nn.Module):
    """Cumulative distribution per channel as a small monotone network; 61 parameters a channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        scale = INIT_SCALE ** (1 / (len(WIDTHS) - 1))
        self.matrices = nn.ParameterList()
        self.biases = nn.ParameterList()
        self.factors = nn.ParameterList()
        for inputs, outputs in itertools.pairwise(WIDTHS):
            start = math.log(math.expm1(1 / scale / outputs))
            self.matrices.append(nn.Parameter(torch.full((channels, outputs, inputs), start)))
            self.biases.append(nn.Parameter(torch.empty(channels, outputs, 1).uniform_(-0.5, 0.5)))
            if outputs > 1:
                self.factors.append(nn.Parameter(torch.zeros(channels, outputs, 1)))
        quantiles = torch.tensor([-INIT_SCALE, 0.0, INIT_SCALE]).repeat(channels, 1, 1)
        self.quantiles = nn.Parameter(quantiles)  # [K, 1, 3]: lower, median, upper

    @property
    def medians(self) -> Tensor:
        """The centres around which the hyper-latent is rounded, [K]."""
        return self.quantiles[:, 0, 1]

    def logits(self, x: Tensor) -> Tensor:
        """Return the cumulative distribution's logits at x [K, n]."""
        x = x[:, None]  # [K, 1, n]
        for number, (matrix, bias) in enumerate(zip(self.matrices, self.biases, strict=True)):
            x = torch.matmul(F.softplus(matrix), x) + bias
            if number < len(self.factors):
                x = x + torch.tanh(self.factors[number]) * torch.tanh(x)
        return x[:, 0]

    def bits(self, z_hat: Tensor) -> Tensor:
        """Return the bits of each value of z_hat [B, h, w, K], rounded or under uniform noise."""
        x = z_hat.reshape(-1, self.channels).T
        lower, upper = self.logits(x - 0.5), self.logits(x + 0.5)
        sign = -torch.sign(lower + upper).detach()  # the smaller tail, so that far cells keep their digits
        likelihood = (torch.sigmoid(sign * upper) - torch.sigmoid(sign * lower)).abs()
        return -torch.log2(clamp_through(likelihood, LIKELIHOOD_FLOOR)).T.reshape(z_hat.shape)

    @torch.no_grad()
    def settle(self) -> None:
        """Set the quantiles to those of the distribution as it is, by halving intervals; nothing is learned for it."""
        tail = math.log(2.0 / TAIL_MASS - 1.0)
        wanted = self.quantiles.new_tensor([-tail, 0.0, tail])
        low = torch.full_like(self.quantiles[:, 0], -1.0)
        high = -low
        for _ in range(QUANTILE_DOUBLINGS):
            low = torch.where(self.logits(low) > wanted, 2.0 * low, low)
            high = torch.where(self.logits(high) < wanted, 2.0 * high, high)
        for _ in range(QUANTILE_HALVINGS):
            middle = (low + high) / 2.0
            below = self.logits(middle) < wanted
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        self.quantiles[:, 0] = (low + high) / 2.0

    def tables(self) -> Tables:
        """Return each channel's integer table of the symbols round(z - median)."""
        with torch.no_grad():
            prior = FactorizedPrior(self.channels).double()
            prior.load_state_dict(self.state_dict())
            edges = torch.arange(-TABLE_LIMIT, TABLE_LIMIT, dtype=torch.float64) + 0.5
            below = torch.sigmoid(prior.logits(edges + prior.medians[:, None])).numpy()
        return stack([_row(own) for own in below])


def _row(below: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the probabilities of the symbols -b..b, the tails in the outermost ones."""
    row = np.clip(np.diff(np.concatenate(([0.0], below, [1.0]))), 0.0, None)
    likely = np.nonzero(row > NEGLIGIBLE)[0]
    bound = max(1, int(np.abs(likely - TABLE_LIMIT).max(initial=1)))
    kept = row[TABLE_LIMIT - bound : TABLE_LIMIT + bound + 1].copy()
    kept[0] += row[: TABLE_LIMIT - bound].sum()
    kept[-1] += row[TABLE_LIMIT + bound + 1 :].sum()
    return kept
