"""How a picture becomes a network's input tensor, decided by the model's metadata."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from grpc import StatusCode
from PIL import Image

from manypath_services.common.errors import ServiceError

_MOST_PIXELS = 2048  # of a side: 3 samples of 4 bytes each then still fit a message
_LONGEST_NAME = 256
_CROP = (7, 8)
"""Share of the short side that is kept: 224 of 256, the usual evaluation on ImageNet."""


class PictureInputError(ServiceError):
    """The model's input is not one that a picture can become."""

    code = StatusCode.FAILED_PRECONDITION


class Normalisation(NamedTuple):
    """What turns 8-bit values into the floats a model was trained on: (x - mean) / deviation, per channel."""

    mean: tuple[float, float, float] = (127.5, 127.5, 127.5)
    deviation: tuple[float, float, float] = (127.5, 127.5, 127.5)


_SYMMETRIC = Normalisation()


class PictureInput(NamedTuple):
    """A model's input for pictures.

    Attributes:
        name: of the tensor.
        datatype: UINT8, FP16 or FP32, in the protocol's words.
        batched: the tensor has a batch axis in front.
        channels_first: [3, H, W] instead of [H, W, 3].
        size: height and width in pixels, or None where the model takes any.
        normalisation: for floats.
    """

    name: str
    datatype: str
    batched: bool
    channels_first: bool
    size: tuple[int, int] | None
    normalisation: Normalisation

    @classmethod
    def from_metadata(
        cls,
        name: str,
        datatype: str,
        shape: Sequence[int],
        *,
        normalisation: Normalisation = _SYMMETRIC,
        default_size: int = 224,
    ) -> PictureInput:
        """Reads what a server says of a model's input.

        Args:
            name: of the tensor.
            datatype: of the tensor.
            shape: with or without a batch axis in front; -1 stands for any length.
            normalisation: for floats.
            default_size: height and width in pixels for floats of any size, seldom meant to be that.

        Raises:
            PictureInputError: datatype or shape are not those of a picture.
        """
        batched = len(shape) == 4
        axes = tuple(shape[1:] if batched else shape)
        if (
            datatype not in ("UINT8", "FP16", "FP32")
            or len(axes) != 3
            or len(name) > _LONGEST_NAME
            or (batched and shape[0] not in (-1, 1))
            or (axes[0] == 3) == (axes[2] == 3)
        ):
            raise PictureInputError(_refusal(name, datatype, shape))
        channels_first = axes[0] == 3
        height, width = axes[1:] if channels_first else axes[:2]
        size = None
        if height > 0 or width > 0 or datatype != "UINT8":
            size = (height if height > 0 else default_size, width if width > 0 else default_size)
            if max(size) > _MOST_PIXELS:
                raise PictureInputError(
                    f"input {name[:80]!r} is {size[0]}x{size[1]} pixels, accepted are sides of at most {_MOST_PIXELS}"
                )
        return cls(name, datatype, batched, channels_first, size, normalisation)

    def prepare(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
        """Makes the tensor.

        Where the model has a size: the central 7/8 of the short side, as ImageNet's usual evaluation has it,
        resized with antialias.

        Args:
            image: uint8 [H, W, 3], RGB.

        Returns:
            Array of the input's datatype and shape, with a batch of one.

        Raises:
            PictureInputError: the image is something else.
        """
        _check(image)
        return self._to_tensor(image if self.size is None else _crop_and_resize(image, self.size))

    def prepare_whole(self, image: npt.NDArray[np.uint8], longest_side: int | None = None) -> npt.NDArray[Any]:
        """Makes the tensor of a picture that must not lose its borders.

        Where the model has a size, the picture is squeezed into it; otherwise it is shrunk, in proportion, until
        its longest side has at most `longest_side` pixels. Both with antialias.

        Raises:
            PictureInputError: the image is something else.
        """
        _check(image)
        height, width = image.shape[:2]
        size = self.size or (height, width)
        if self.size is None and longest_side is not None and max(height, width) > longest_side:
            longest = max(height, width)
            size = (max(1, height * longest_side // longest), max(1, width * longest_side // longest))
        if size == (height, width):
            return self._to_tensor(image)
        resized = Image.fromarray(image).resize((size[1], size[0]), Image.Resampling.BILINEAR)
        return self._to_tensor(np.asarray(resized))

    def _to_tensor(self, x: npt.NDArray[Any]) -> npt.NDArray[Any]:
        if self.datatype != "UINT8":
            mean, deviation = (np.array(values, np.float32) for values in self.normalisation)
            x = ((x - mean) / deviation).astype(np.float16 if self.datatype == "FP16" else np.float32)
        if self.channels_first:
            x = x.transpose(2, 0, 1)
        return x[np.newaxis] if self.batched else x


def _check(image: npt.NDArray[np.uint8]) -> None:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise PictureInputError(f"image is {image.dtype} {list(image.shape)}, accepted is uint8 [H, W, 3]")


def _crop_and_resize(image: npt.NDArray[np.uint8], size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    height, width = image.shape[:2]
    # The largest centred box of the wanted aspect, times 7/8, in whole numbers: no rounding surprises.
    short = min(height * size[1], width * size[0])
    box_height = max(1, short * _CROP[0] // (_CROP[1] * size[1]))
    box_width = max(1, short * _CROP[0] // (_CROP[1] * size[0]))
    top, left = (height - box_height + 1) // 2, (width - box_width + 1) // 2
    crop = image[top : top + box_height, left : left + box_width]
    resized = Image.fromarray(crop).resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return np.asarray(resized)


def _refusal(name: str, datatype: str, shape: Sequence[int]) -> str:
    return (
        f"input {name[:80]!r} is {datatype} {list(shape)}, accepted are UINT8, FP16 or FP32 of [N, H, W, 3] or "
        "[N, 3, H, W], N being 1, any or left out"
    )
