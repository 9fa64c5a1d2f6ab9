"""Training crops as cameras and screens would make them: shrunk, turned, darkened, written on, or drawn altogether."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from manypath.quality import LEVELS, QUALITY_STEPS
from manypath_lab.training.data import PictureSet, square_crop
from manypath_lab.training.drawn import draw_picture, write_text
from manypath_lab.training.recipe import Augmentation

Picture = npt.NDArray[np.uint8]  # [H, W, 3]

TOP_CODE = (LEVELS - 2) * QUALITY_STEPS - QUALITY_STEPS // 2  # from here on a codec would learn JPEG's own residue
TOP_SHRINK = 1.3
LARGEST_SHRINK = 2.0


class Crops(NamedTuple):
    """A step's pictures, float32 [B, side, side, 3] in [0, 1], and what each weighs in the loss, [B]."""

    x: Tensor
    weight: Tensor


def _shrunk(random: np.random.Generator, picture: Picture, side: int, least: float) -> npt.NDArray[np.uint8]:
    """Return a square of a picture shrunk by a random factor from ``least`` to 2, or as far as it is large."""
    most = min(LARGEST_SHRINK, min(picture.shape[:2]) / side)
    factor = float(np.exp(random.uniform(np.log(min(least, most)), np.log(most))))
    crop = square_crop(random, picture, max(side, round(side * factor)))
    if len(crop) == side:
        return crop
    return np.asarray(Image.fromarray(crop).resize((side, side), Image.Resampling.BICUBIC))


def _darkened(random: np.random.Generator, crop: Picture) -> Picture:
    """Return a crop as a camera would see it at dusk: less light, a steeper curve, the sensor's noise."""
    light = (crop / 255.0) ** random.uniform(1.2, 2.6) * random.uniform(0.25, 0.9)
    deviation = random.uniform(0.0, 0.02)
    noisy = light + random.normal(0.0, 1.0, light.shape) * deviation * np.sqrt(light + 0.02)
    return np.asarray(np.rint(np.clip(noisy, 0.0, 1.0) * 255.0), dtype=np.uint8)


class AugmentedPictures:
    """Crops of a picture set for codes that were drawn before them.

    Args:
        pictures: photographs.
        shares: of crops that each change is made to.
    """

    def __init__(self, pictures: PictureSet, shares: Augmentation) -> None:
        self._pictures = pictures
        self._shares = shares

    def crops(self, random: np.random.Generator, codes: Tensor, side: int) -> Crops:
        """Return one crop a quality code, int64 [B]."""
        crops, weights = [], []
        for code in codes.tolist():
            drawn = random.random() < self._shares.drawn
            crops.append(draw_picture(random, side) if drawn else self._photograph(random, code, side))
            weights.append(self._shares.drawn_weight if drawn else 1.0)
        stacked = torch.from_numpy(np.stack(crops)).float().div_(255.0)
        return Crops(stacked, torch.tensor(weights))

    def _photograph(self, random: np.random.Generator, code: int, side: int) -> Picture:
        shares = self._shares
        picture = self._pictures.draw(random)
        top = code >= TOP_CODE
        if top or random.random() < shares.shrunk:
            crop = _shrunk(random, picture, side, TOP_SHRINK if top else 1.0)
        else:
            crop = square_crop(random, picture, side)
        for axis in (0, 1):
            if random.random() < 0.5:
                crop = np.flip(crop, axis)
        if random.random() < shares.transposed:
            crop = crop.swapaxes(0, 1)
        if random.random() < shares.darkened:
            crop = _darkened(random, crop)
        if random.random() < shares.written:
            crop = write_text(random, np.ascontiguousarray(crop))
        return np.ascontiguousarray(crop)
