"""An array to a picture file."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
from PIL import Image

FAST = 1
"""zlib's level for pictures on their way: a fifth of the default's time for a few percent more bytes."""
SMALL = 6
"""zlib's level for pictures that are kept."""


def write_png(samples: npt.NDArray[np.uint8], *, level: int = SMALL) -> bytes:
    """Return uint8 [H, W, 3], or [H, W] for grey, as a PNG file.

    Args:
        samples: of the picture.
        level: zlib's, 0 to 9.
    """
    file = io.BytesIO()
    Image.fromarray(samples).save(file, "PNG", compress_level=level)
    return file.getvalue()
