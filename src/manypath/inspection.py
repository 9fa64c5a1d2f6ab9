"""Score maps: what the predictors of a transform thought of each token, put together from the strips of a picture."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from manypath.geometry import TOKEN_PIXELS, ceil_div, padded
from manypath.multipath.routing import Trace

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

    def add(self, trace: Trace, top: int, bottom: int, start: int) -> None:
        """Take the padded rows top..bottom from a trace that begins at row ``start``."""
        rows = slice((top - start) // TOKEN_PIXELS, (bottom - start) // TOKEN_PIXELS)
        self._parts.append([self._fold(torch.sigmoid(own[:1].float()))[rows] for own in trace.importance])

    def _fold(self, scores: Tensor) -> ScoreMap:
        """Bring [1, h, w] to the 1/8 grid: means of the tokens where a group's grid is finer."""
        side = scores.shape[2] // self._padded_columns
        folded: ScoreMap = torch.nn.functional.avg_pool2d(scores, side)[0].cpu().numpy()
        return folded

    def done(self) -> tuple[ScoreMap, ...]:
        """Return one map a group, without the padding."""
        return tuple(np.concatenate(own)[: self._rows, : self._columns] for own in zip(*self._parts, strict=True))
