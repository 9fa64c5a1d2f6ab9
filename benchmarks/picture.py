"""The picture that benchmarks run on: a file, or one made to have a photo's statistics."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from manypath_pictures.reader import read_picture

Pixels = npt.NDArray[np.uint8]


def photo_like(height: int, width: int, seed: int = 0) -> Pixels:
    """Return uint8 [H, W, 3] with a photo's falling spectrum and a few sharp edges.

    Amplitudes fall with 1/f and the colour channels are strongly correlated, so that a codec spends about as
    many bits on it as on a real photo.
    """
    random = np.random.default_rng(seed)
    rows = np.fft.fftfreq(height)[:, None]
    columns = np.fft.rfftfreq(width)[None, :]
    frequency = np.hypot(rows, columns)
    frequency[0, 0] = 1.0
    planes = []
    for _ in range(3):
        phase = np.exp(2j * np.pi * random.random(frequency.shape))
        plane = np.fft.irfft2(phase / frequency**1.3, s=(height, width))
        planes.append((plane - plane.mean()) / plane.std())
    luma, blue, red = planes
    shade = 118.0 + 44.0 * luma
    pixels = np.stack([shade + 12.0 * red, shade - 4.0 * red - 4.0 * blue, shade + 12.0 * blue], axis=-1)
    for _ in range(8):
        top, left = random.integers(0, max(1, height - 8)), random.integers(0, max(1, width - 8))
        pixels[top : top + height // 5, left : left + width // 6] += random.integers(-60, 60)
    clipped: Pixels = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
    return clipped


def load_or_make(file: str | None, height: int, width: int) -> Pixels:
    """Return the picture in ``file``, or a made one of the given size, as uint8 [H, W, 3]."""
    if file is None:
        return photo_like(height, width)
    return read_picture(Path(file).read_bytes())
