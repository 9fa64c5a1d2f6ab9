"""What symbols cost, so that an encoder can weigh bits against squared error when it chooses them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from manypath.entropy.tables import SKIPPED_INDEX, Tables, code_lengths

_EXCESS_BITS = 8.0  # of a symbol at or beyond its table's end, in the escapes


class Pricing:
    """Code lengths of a latent's symbols, by scale index.

    Args:
        tables: symmetric ones, one per scale index.
        skip: whether symbols of ``SKIPPED_INDEX`` are zero by agreement and free.
        device: of the tensors to come.
    """

    def __init__(self, tables: Tables, *, skip: bool, device: torch.device) -> None:
        self._most = int(tables.bounds.max()) + 1  # whatever lies beyond costs as much
        magnitudes = np.arange(self._most + 1)
        indexes = np.arange(len(tables.bounds))[:, None]
        bits = code_lengths(tables, magnitudes[None], indexes, skip=skip)
        bits += np.where(magnitudes[None] >= tables.bounds[:, None], np.float32(_EXCESS_BITS), np.float32(0))
        if skip:
            bits[SKIPPED_INDEX] = 0.0
        self._bits = torch.from_numpy(bits).to(device).flatten()

    def bits(self, symbols: Tensor, indexes: Tensor) -> Tensor:
        """Return the code lengths of symbols, whole numbers as floats, float32 of their shape."""
        magnitudes = symbols.abs().clamp_(max=self._most).long()
        return self._bits[magnitudes.add_(indexes.long(), alpha=self._most + 1)]

    def slope(self, values: Tensor, indexes: Tensor) -> Tensor:
        """Return how many bits a value between two symbols costs more for each step away from zero, with its sign."""
        below = values.abs().floor_()
        return torch.copysign(self.bits(below + 1, indexes) - self.bits(below, indexes), values)

    def cheaper(self, residuals: Tensor, indexes: Tensor, price: Tensor) -> Tensor:
        """Return for each residual its nearest symbol, or the next towards zero where that is worth its error.

        Args:
            residuals: float [..., C].
            indexes: scale indexes, float [..., C].
            price: of a bit in squared steps of the latent, float [C].
        """
        nearest = residuals.round()
        nearer = nearest - nearest.sign()
        saved = self.bits(nearest, indexes).sub_(self.bits(nearer, indexes))
        added = (residuals - nearer).square_().sub_((residuals - nearest).square_())
        return torch.where(added < saved.mul_(price), nearer, nearest)
