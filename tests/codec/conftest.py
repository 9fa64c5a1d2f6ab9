"""What the codec's tests share: a small photo-like picture and an untrained codec."""

import numpy as np
import pytest

from manypath.codec import Codec
from manypath.image import Image


def photo(height: int, width: int, seed: int = 0) -> Image:
    """Return a picture with smooth shading, edges and grain, uint8 [H, W, 3]."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:height, 0:width]
    shade = 110 + 60 * np.sin(rows / 37.0 + seed) + 40 * np.cos(columns / 23.0)
    picture = np.stack([shade, shade * 0.8 + 20, 255 - shade], axis=-1)
    picture[((rows - height / 2) ** 2 + (columns - width / 3) ** 2) < (min(height, width) / 4) ** 2] *= 0.4
    return np.clip(picture + random.normal(0, 3, picture.shape), 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def codec() -> Codec:
    """An untrained codec of the tiny preset: loads in milliseconds."""
    return Codec.load("tiny-random")
