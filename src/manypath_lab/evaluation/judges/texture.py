"""Whether texture is as strong as in the original: statistics of small patches, blind to where exactly a grain lies."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from manypath_lab.evaluation.judges.judge import Floats, Measure, Record, counted, mean
from manypath_lab.evaluation.pictures import Pixels
from manypath_lab.evaluation.sets import Case

PATCH = 8  # pixels a side
SCALES = 2  # full size, and half of it
FLOOR = 1.0  # levels of grey: below it nobody sees a difference
_LUMA = np.asarray([0.299, 0.587, 0.114])


def deviations(image: Pixels) -> Floats:
    """Return the standard deviation of luma in every patch of every scale, float64 [N], in levels of grey.

    Pixels beyond the last whole patch are left out; a picture smaller than a patch has none.
    """
    luma = image.astype(np.float64) @ _LUMA
    strengths = []
    for _ in range(SCALES):
        rows, columns = (side // PATCH for side in luma.shape)
        patches = luma[: rows * PATCH, : columns * PATCH].reshape(rows, PATCH, columns, PATCH)
        strengths.append(patches.std((1, 3)).ravel())
        height, width = (side // 2 * 2 for side in luma.shape)
        luma = luma[:height, :width].reshape(height // 2, 2, width // 2, 2).mean((1, 3))
    return np.concatenate(strengths)


def texture_distance(original: Pixels, image: Pixels) -> float | None:
    """Return the mean over patches of |log2(deviation over the original's)|, octaves; None without a whole patch."""
    pair = [np.log2(deviations(pixels) + FLOOR) for pixels in (original, image)]
    return float(np.abs(pair[0] - pair[1]).mean()) if len(pair[0]) else None


class TextureJudge:
    """Distance of patches' deviations; 0 where texture is as strong as the original's, 1 where half or twice that."""

    name = "texture"
    label = "patch statistics"
    version = f"texture {PATCH} {SCALES} 1"
    measures = (Measure("texture", "texture distance (octaves)", slice(0, 2), mean, digits=3, lower=True),)

    def question(self, case: Case) -> str:
        """Nothing: the original is the case's picture."""
        return ""

    def examine(self, cases: Sequence[Case], images: Sequence[Pixels]) -> list[Record]:
        """Return (octaves, 1) of each image."""
        pairs = zip(cases, images, strict=True)
        return [counted(texture_distance(case.picture.pixels, image)) for case, image in pairs]
