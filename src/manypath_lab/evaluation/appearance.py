"""What a reconstruction looks like, as judges: perceptual distance and MS-SSIM, in whole millionths."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from manypath.errors import ImageError
from manypath_lab.evaluation.metrics import METRICS_VERSION, multi_scale_ssim
from manypath_lab.evaluation.pictures import Pixels
from manypath_lab.evaluation.scores import MILLION
from manypath_lab.evaluation.tasks import Case, Record
from manypath_lab.training.losses import PerceptualTerm

_STRIDE = 32  # pixels: the deepest features need whole positions


class PerceptualDistance:
    """Distance of deep features, on the centre of two pictures in whole multiples of 32 pixels."""

    def __init__(self, term: PerceptualTerm | None = None) -> None:
        self._term = term or PerceptualTerm.default(torch.device("cpu"))

    @torch.inference_mode()
    def __call__(self, original: Pixels, reconstruction: Pixels) -> float:
        """Return the distance of two uint8 [H, W, 3] pictures of one size."""
        return float(self._term(_tensor(reconstruction), _tensor(original))[0])


class PerceptualJudge:
    """Distance of deep features from the original's; see ``PerceptualDistance``."""

    name = "perceptual"
    label = "perceptual distance"
    version = "EfficientNet-Lite0 features 1"

    def __init__(self, term: PerceptualTerm | None = None) -> None:
        self._distance = PerceptualDistance(term)

    def question(self, case: Case) -> str:
        """Nothing: the original is the case's picture."""
        return ""

    def examine(self, cases: Sequence[Case], images: Sequence[Pixels]) -> list[Record]:
        """Return the distances."""
        records = []
        for case, image in zip(cases, images, strict=True):
            if image is case.picture.pixels:
                records.append(np.zeros(1, dtype=np.int32))
                continue
            distance = self._distance(case.picture.pixels, image)
            records.append(np.asarray([round(MILLION * distance)], dtype=np.int32))
        return records


class SimilarityJudge:
    """MS-SSIM on RGB; -1 where the picture is too small for it."""

    name = "ms-ssim"
    label = "MS-SSIM"
    version = METRICS_VERSION

    def question(self, case: Case) -> str:
        """Nothing: the original is the case's picture."""
        return ""

    def examine(self, cases: Sequence[Case], images: Sequence[Pixels]) -> list[Record]:
        """Return the similarities."""
        values = (multi_scale_ssim(case.picture.pixels, image) for case, image in zip(cases, images, strict=True))
        return [np.asarray([-1 if value is None else round(MILLION * value)], dtype=np.int32) for value in values]


def _tensor(image: Pixels) -> torch.Tensor:
    """Return the centre in whole strides, float32 [1, H, W, 3] in [0, 1].

    Raises:
        ImageError: there is no whole stride.
    """
    height, width = (side // _STRIDE * _STRIDE for side in image.shape[:2])
    if not height or not width:
        raise ImageError(f"a picture must have at least {_STRIDE} pixels on each side, got {image.shape[:2]}")
    top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    centre = np.ascontiguousarray(image[top : top + height, left : left + width])
    return torch.from_numpy(centre).float().div_(255.0)[None]
