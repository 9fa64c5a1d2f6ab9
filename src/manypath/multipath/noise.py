"""Planes of seeded noise that some side paths see: texture needs a source, and every decode of a stream the same one.

A value is a hash of the stream's seed, its plane and its place in the picture, in integers of 32 bits. So it is the
same on every machine, in every type, in a batch and in a strip, and nothing is drawn in an order.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

PLANES = 8  # of a side that sees noise
UNIT = 2.0**-6  # of the integers from -128 to 127 that are drawn, all as likely: the noise has a deviation of 1.15

_HASH_BYTES = 4
_GOLDEN = 0x9E3779B9  # 2^32 over the golden ratio: neighbours are far apart
_ROW, _PLANE = 0x85EBCA77, 0xC2B2AE3D


def noise_integers(seed: int, top: int, rows: int, columns: int) -> npt.NDArray[np.int8]:
    """Return noise, int8 [rows, columns, PLANES].

    Args:
        seed: uint32.
        top: first row, counted in tokens from the top of the picture.
        rows: how many.
        columns: how many, from the left edge of the picture.
    """
    y, x, hashes = (np.arange(count, dtype=np.uint32) for count in (rows, columns, PLANES // _HASH_BYTES))
    start = _mixed(np.asarray([seed], dtype=np.uint32) + np.uint32(_GOLDEN))
    lines = _mixed(start + (y + np.uint32(top)) * np.uint32(_ROW))
    places = _mixed(lines[:, None] ^ (x * np.uint32(_GOLDEN)))
    drawn = _mixed(places[..., None] ^ (hashes * np.uint32(_PLANE)))
    return drawn.astype("<u4").view(np.int8)


def noise_planes(seeds: Sequence[int], top: int, rows: int, columns: int) -> Tensor:
    """Return noise, float32 [len(seeds), rows, columns, PLANES] in -2..2, whose values bfloat16 holds exactly.

    Args:
        seeds: uint32, one a picture.
        top: first row, counted in tokens from the top of the picture.
        rows: how many.
        columns: how many.
    """
    planes = np.stack([noise_integers(seed, top, rows, columns) for seed in seeds])
    return torch.from_numpy(planes).float() * UNIT


def _mixed(x: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    """Return a permutation of the integers of 32 bits in which every bit depends on every bit (lowbias32)."""
    x = (x ^ (x >> np.uint32(16))) * np.uint32(0x7FEB352D)
    x = (x ^ (x >> np.uint32(15))) * np.uint32(0x846CA68B)
    mixed: npt.NDArray[np.uint32] = x ^ (x >> np.uint32(16))
    return mixed
