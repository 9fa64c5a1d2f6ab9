"""Pictures to tensors and back: uint8 HWC, float NHWC in [0, 1], replicate padding, cropping."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from manypath.errors import ImageError
from manypath.geometry import LATENT_PIXELS, MAX_SIDE, TOKEN_PIXELS
from manypath.transfers import to_host

Image = npt.NDArray[np.uint8]


def check_image(image: object) -> Image:
    """Return ``image`` as uint8 [H, W, 3]; a grey [H, W] picture is taken as RGB.

    Raises:
        ImageError: another type or shape, or a side outside 1..16384 pixels.
    """
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        kind = getattr(image, "dtype", type(image).__name__)
        raise ImageError(f"an image must be a numpy array of uint8, got {kind}; scale and convert it first")
    if image.ndim == 2:
        image = np.repeat(image[:, :, None], 3, axis=2)
    if image.ndim == 3 and image.shape[2] == 4:
        raise ImageError("RGBA is not coded: blend the picture on a background and pass [H, W, 3]")
    if image.ndim != 3 or image.shape[2] != 3:
        raise ImageError(f"an image must have the shape [H, W, 3] or [H, W], got {list(image.shape)}")
    height, width = image.shape[:2]
    if not (1 <= height <= MAX_SIDE and 1 <= width <= MAX_SIDE):
        raise ImageError(f"each side must have 1 to {MAX_SIDE} pixels, got {width}x{height}")
    return image


def pad_to(image: Image, height: int, width: int) -> Image:
    """Extend uint8 [h, w, 3] at the bottom and right to [height, width, 3] by repeating the border."""
    below, right = height - image.shape[0], width - image.shape[1]
    if below == 0 and right == 0:
        return image
    return np.pad(image, ((0, below), (0, right), (0, 0)), mode="edge")


def to_tensor(image: Image) -> Tensor:
    """Return uint8 [H, W, 3] as float32 [1, H, W, 3] in [0, 1]."""
    return as_floats(torch.from_numpy(image.copy()))[None]  # a copy: arrays may be read-only, or run backwards


def to_image(x: Tensor) -> Image:
    """Return float [H, W, 3] in [0, 1] as uint8 [H, W, 3], clamped and rounded to nearest."""
    array: Image = to_host(as_bytes(x.float().mul(255.0)))
    return array


def as_floats(pixels: Tensor) -> Tensor:
    """Return uint8 as float32 in [0, 1]."""
    return pixels.float().div_(255.0)


def as_bytes(x: Tensor) -> Tensor:
    """Return float32 in 0..255 as uint8, clamped and rounded to nearest; ``x`` is changed."""
    return (
        x.clamp_(0, 255).round_().to(torch.int16).to(torch.uint8)
    )  # PyTorch's own way from floats takes thrice as long


def to_tokens(x: Tensor, side: int) -> Tensor:
    """Fold each ``side`` x ``side`` square into channels: [B, H, W, C] -> [B, H/side, W/side, side*side*C]."""
    b, h, w, c = x.shape
    x = x.reshape(b, h // side, side, w // side, side, c).permute(0, 1, 3, 2, 4, 5)
    return x.reshape(b, h // side, w // side, side * side * c)


def from_tokens(x: Tensor, side: int) -> Tensor:
    """Undo ``to_tokens``: [B, h, w, side*side*C] -> [B, h*side, w*side, C]."""
    b, h, w, c = x.shape
    c //= side * side
    x = x.reshape(b, h, w, side, side, c).permute(0, 1, 3, 2, 4, 5)
    return x.reshape(b, h * side, w * side, c)


def to_squares(pixels: Tensor) -> Tensor:
    """Fold uint8 [B, H, W, C] into squares of 2x2 tokens: ``to_tokens`` twice, [B, H/16, W/16, 4 * 8*8*C]."""
    b, h, w, c = pixels.shape
    runs = pixels.reshape(b, h // LATENT_PIXELS, 2, TOKEN_PIXELS, w // LATENT_PIXELS, 2, TOKEN_PIXELS * c)
    return _permuted(runs, (0, 1, 4, 2, 5, 3)).view(b, h // LATENT_PIXELS, w // LATENT_PIXELS, LATENT_PIXELS**2 * c)


def from_squares(squares: Tensor) -> Tensor:
    """Undo ``to_squares``: uint8 [B, h, w, 4 * 8*8*C] -> [B, 16h, 16w, C]."""
    b, h, w, c = squares.shape
    c //= LATENT_PIXELS**2
    runs = squares.reshape(b, h, w, 2, 2, TOKEN_PIXELS, TOKEN_PIXELS * c)
    return _permuted(runs, (0, 1, 3, 5, 2, 4)).view(b, h * LATENT_PIXELS, w * LATENT_PIXELS, c)


def _permuted(runs: Tensor, order: Sequence[int]) -> Tensor:
    """Permute all axes but the last of uint8 [..., n]."""
    if runs.device.type != "cpu":
        return runs.permute(*order, len(order)).contiguous()
    # numpy copies a run at a time; PyTorch goes from byte to byte, which takes three times as long
    whole = runs.numpy().view(np.dtype((np.void, runs.shape[-1])))[..., 0]
    return torch.from_numpy(np.ascontiguousarray(whole.transpose(order)).view(np.uint8))
