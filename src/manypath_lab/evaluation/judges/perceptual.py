"""Distances of deep features, which the eye's opinion follows closer than the squared error."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch

from manypath.errors import ImageError
from manypath_lab.evaluation.judges.judge import Measure, Record, counted, mean
from manypath_lab.evaluation.pictures import Pixels
from manypath_lab.evaluation.sets import Case
from manypath_lab.training.features import EfficientNetFeatures
from manypath_lab.training.losses import PerceptualTerm
from manypath_lab.training.wasserstein import LITE_DEVIATION, WassersteinTerm

_LEVEL = 2.0  # of the Wasserstein distortion's windows: 10 positions of each map on a side
_STRIDE = 32  # pixels: the deepest features need whole positions


def perceptual_db(value: float) -> float:
    """Return a distance on a decibel scale that rises with likeness, -10 log10(distance)."""
    return -10.0 * math.log10(max(value, 1e-10))


class PerceptualJudge:
    """Distance of a network's features, on the centre of two pictures in whole multiples of 32 pixels.

    Args:
        network: whose features: ``lite0``, which paths are trained with, or ``lite1``, ``lite2``, which none is.
    """

    def __init__(self, network: str = "lite0") -> None:
        self.name = "perceptual" if network == "lite0" else f"perceptual-{network}"
        self.label = f"features of EfficientNet-{network.capitalize()}"
        self.version = f"features {network} 2"
        self.measures = (
            Measure(
                *(self.name, "perceptual distance", slice(0, 2), mean),
                digits=4,
                lower=True,
                decibels=perceptual_db,
                axis="perceptual likeness (dB, −10 log₁₀ of the distance of deep features)",
            ),
        )
        self._term = PerceptualTerm(EfficientNetFeatures(network))

    def question(self, case: Case) -> str:
        """Nothing: the original is the case's picture."""
        return ""

    @torch.inference_mode()
    def examine(self, cases: Sequence[Case], images: Sequence[Pixels]) -> list[Record]:
        """Return (distance, 1) of each image."""
        pairs = zip(cases, images, strict=True)
        return [counted(self._distance(case.picture.pixels, image)) for case, image in pairs]

    def _distance(self, original: Pixels, image: Pixels) -> float:
        if image is original:
            return 0.0
        return float(self._term(_centre(image), _centre(original))[0])


class WassersteinJudge:
    """Wasserstein distortion of a network's maps, within windows of 10 positions: texture may lie elsewhere.

    Args:
        network: whose features: ``lite0``, which the path for people is trained with, or ``lite1``, ``lite2``.
    """

    def __init__(self, network: str = "lite2") -> None:
        self.name = f"wasserstein-{network}"
        self.label = f"statistics of EfficientNet-{network.capitalize()}'s features"
        self.version = f"wasserstein {network} {_LEVEL:g} 2"
        self.measures = (
            Measure(
                *(self.name, "Wasserstein distortion", slice(0, 2), mean),
                digits=4,
                lower=True,
                decibels=perceptual_db,
                axis="texture's likeness (dB, −10 log₁₀ of the Wasserstein distortion)",
            ),
        )
        self._term = WassersteinTerm(EfficientNetFeatures(network), LITE_DEVIATION)

    def question(self, case: Case) -> str:
        """Nothing: the original is the case's picture."""
        return ""

    @torch.inference_mode()
    def examine(self, cases: Sequence[Case], images: Sequence[Pixels]) -> list[Record]:
        """Return (distortion, 1) of each image."""
        pairs = zip(cases, images, strict=True)
        return [counted(self._distance(case.picture.pixels, image)) for case, image in pairs]

    def _distance(self, original: Pixels, image: Pixels) -> float:
        level = torch.tensor([_LEVEL])
        return float(self._term(_centre(image), _centre(original), level, faded=False)[0])


def _centre(image: Pixels) -> torch.Tensor:
    """Return the centre in whole strides, float32 [1, H, W, 3] in [0, 1].

    Raises:
        ImageError: there is no whole stride.
    """
    height, width = (side // _STRIDE * _STRIDE for side in image.shape[:2])
    if not height or not width:
        raise ImageError(f"a picture must have at least {_STRIDE} pixels on each side, got {image.shape[:2]}")
    top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    centre = np.array(image[top : top + height, left : left + width])  # writable, as torch wants
    return torch.from_numpy(centre).float().div_(255.0)[None]
