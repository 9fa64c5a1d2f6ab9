"""Looking inside: what predictors thought of each token, and where a stream's bits went, put together from strips."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from manypath.bitstream import Bitstream
from manypath.coding import SymbolCoder
from manypath.entropy.coder import Checksum, RowNumbers, Symbols
from manypath.entropy.schedule import Step
from manypath.entropy.tables import code_lengths
from manypath.geometry import LATENT_PIXELS, TOKEN_PIXELS, ceil_div, padded, strip_rows
from manypath.multipath.routing import Trace
from manypath.strips import Strip
from manypath.timings import StageTimings

ScoreMap = npt.NDArray[np.float32]


class ScoreMaps:
    """Puts the score maps of one picture's strips together.

    Args:
        height: of the picture, pixels.
        width: of the picture, pixels.
    """

    def __init__(self, height: int, width: int) -> None:
        self._rows, self._columns = (ceil_div(side, TOKEN_PIXELS) for side in (height, width))
        self._padded_columns = padded(width) // TOKEN_PIXELS
        self._parts: list[list[ScoreMap]] = []

    def add(self, trace: Trace, strip: Strip) -> None:
        """Take a strip's rows from a trace that covers its margins, too."""
        rows = slice((strip.top - strip.start) // TOKEN_PIXELS, (strip.bottom - strip.start) // TOKEN_PIXELS)
        self._parts.append([self._fold(torch.sigmoid(own[:1].float()))[rows] for own in trace.importance])

    def _fold(self, scores: Tensor) -> ScoreMap:
        """Bring [1, h, w] to the 1/8 grid: means of the tokens where a group's grid is finer."""
        side = scores.shape[2] // self._padded_columns
        folded: ScoreMap = torch.nn.functional.avg_pool2d(scores, side)[0].cpu().numpy()
        return folded

    def done(self) -> tuple[ScoreMap, ...]:
        """Return one map a group, without the padding."""
        return tuple(np.concatenate(own)[: self._rows, : self._columns] for own in zip(*self._parts, strict=True))


def bit_map(stream: Bitstream, coder: SymbolCoder, code: Tensor, *, skips: bool) -> ScoreMap:
    """Return where a stream's bits went: float32 [ceil(H/16), ceil(W/16)], ideal code lengths in bits.

    The hyper-latent's bits are spread evenly over the 4x4 positions that each of its positions serves, by strip.

    Args:
        stream: whole, of the coder's model.
        coder: of that model.
        code: the stream's quality code, int64 [1].
        skips: whether symbols of the smallest scale are free.

    Raises:
        FormatError: a chunk cannot be what it claims.
    """
    parts = []
    for chunks, (top, bottom) in zip(stream.strips, strip_rows(stream.width, stream.height), strict=True):
        grid = ((bottom - top) // LATENT_PIXELS, padded(stream.width) // LATENT_PIXELS)
        bits = np.full(grid[0] * grid[1], 8.0 * len(chunks[0]) / (grid[0] * grid[1]), dtype=np.float32)

        def count(_step: Step, where: Tensor, symbols: Symbols, indexes: RowNumbers, bits: ScoreMap = bits) -> None:
            bits[where.cpu().numpy()] += code_lengths(coder.latent_tables, symbols, indexes, skip=skips)[0].sum(-1)

        coder.decode([chunks], code, grid, checksums=[Checksum()], timings=StageTimings(), listen=count)
        parts.append(bits.reshape(grid))
    rows, columns = (ceil_div(side, LATENT_PIXELS) for side in (stream.height, stream.width))
    whole: ScoreMap = np.concatenate(parts)
    return whole[:rows, :columns]
