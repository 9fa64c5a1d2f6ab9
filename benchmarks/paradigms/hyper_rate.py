"""Bits of the hyper-latent under the prior that a released model carries: a density, or integer tables."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from manypath.checkpoint import Released
from manypath.entropy.tables import PROBABILITY_BITS, Tables
from manypath.tinylic.hyper import HyperSynthesis


def code_length_rows(tables: Tables) -> Tensor:
    """Return what each symbol costs, in bits, float32 [K, longest]; symbol s of row k is at ``s + bounds[k]``."""
    counts = np.diff(tables.cdf.astype(np.int64), axis=1)
    bits = PROBABILITY_BITS - np.log2(np.maximum(counts, 1))
    return torch.from_numpy(bits.astype(np.float32))


class HyperRate:
    """Adds up the hyper-latent's bits.

    An edge model's prior is released as tables only: their code lengths, linear between whole numbers, have a gradient
    for the hyper-latent but do not learn. The published network's density learns with the rest.
    """

    def __init__(self, released: Released) -> None:
        self._model = released.model
        self._rows = code_length_rows(released.hyper_tables)
        self._bounds = torch.from_numpy(released.hyper_tables.bounds.astype(np.int64))

    def __call__(self, z: Tensor, code: Tensor) -> Tensor:
        """Return bits per sample, [B], of z [B, h, w, K] before rounding, for quality codes int64 [B]."""
        if isinstance(self._model.h_s, HyperSynthesis):
            prior = self._model.h_s.prior
            return prior.bits(z + torch.rand_like(z) - 0.5).flatten(1).sum(1)
        channels = z.shape[-1]
        first = torch.tensor([self._model.hyper_table_set(int(value)) * channels for value in code], device=z.device)
        row = (first[:, None, None, None] + torch.arange(channels, device=z.device)).expand_as(z)
        bounds, rows = self._bounds.to(z.device)[row], self._rows.to(z.device)
        place = torch.clamp(z + bounds, torch.zeros_like(bounds), 2 * bounds)  # [B, h, w, K]
        low = torch.minimum(place.detach().floor().long(), 2 * bounds - 1)
        bits = torch.lerp(rows[row, low], rows[row, low + 1], place - low)
        return bits.flatten(1).sum(1)
