"""What happens to a frame before it leaves the camera's machine: turned, cropped, masked; and whether it changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage
from PIL import ImageDraw

from manypath_api.v1 import codec_pb2 as pb
from manypath_camera.errors import SourceError
from manypath_camera.frames import Image
from manypath_pictures.errors import PictureError
from manypath_pictures.reader import read_picture
from manypath_pictures.writer import FAST, write_png

Polygon = Sequence[tuple[float, float]]
MASK_GREY = 128
_MAX_PIXELS = 2**26
_BLOCKS = 32  # along each side, for the difference of two frames
_CHANGED = 10.0  # of 255, mean of a block: beyond what noise and a camera's exposure do from frame to frame


@dataclass(frozen=True)
class Preparation:
    """What is done to every frame of a camera, in this order.

    Attributes:
        turn: degrees clockwise: 0, 90, 180, 270.
        crop: left, top, right, bottom as shares of the turned picture; None is all of it.
        masks: polygons of (x, y) as shares of the cropped picture; filled with flat grey before anything is encoded.
    """

    turn: int = 0
    crop: tuple[float, float, float, float] | None = None
    masks: tuple[tuple[tuple[float, float], ...], ...] = ()

    @property
    def changes_nothing(self) -> bool:
        """Whether a picture file may go as it came."""
        return not self.turn and self.crop is None and not self.masks

    def apply(self, image: Image) -> Image:
        """Return a frame as it may leave the machine.

        Args:
            image: uint8 [H, W, 3].
        """
        turned: Image = np.rot90(image, -self.turn // 90) if self.turn else image
        if self.crop is not None:
            height, width = turned.shape[:2]
            left, top, right, bottom = self.crop
            rows = slice(int(top * height), max(int(top * height) + 1, int(bottom * height)))
            columns = slice(int(left * width), max(int(left * width) + 1, int(right * width)))
            turned = turned[rows, columns]
        if not self.masks:
            return np.ascontiguousarray(turned)
        return mask(turned, self.masks)


def mask(image: Image, polygons: Sequence[Polygon]) -> Image:
    """Return a picture whose polygons are flat grey, uint8 [H, W, 3]; a pixel that one touches belongs to it."""
    height, width = image.shape[:2]
    covered = PillowImage.new("1", (width, height))
    draw = ImageDraw.Draw(covered)
    for polygon in polygons:
        draw.polygon([(x * (width - 1), y * (height - 1)) for x, y in polygon], fill=1, outline=1)
    masked = image.copy()
    masked[np.asarray(covered)] = MASK_GREY
    return masked


def read_frame(picture: bytes | Image) -> Image:
    """Return a frame's pixels, uint8 [H, W, 3].

    Raises:
        SourceError: the file is no picture that can be read.
    """
    if not isinstance(picture, bytes):
        return picture
    try:
        return read_picture(picture, max_pixels=_MAX_PIXELS)
    except PictureError as err:
        raise SourceError(f"the frame is no picture: {err}") from err


def as_message(picture: bytes | Image) -> pb.Picture:
    """Return a frame for the encoder: a file as it is, pixels as a fast PNG without loss."""
    if isinstance(picture, bytes):
        return pb.Picture(file=picture)
    return pb.Picture(file=write_png(picture, level=FAST))


class ChangeDetector:
    """Compares frames with the last one that was sent, in blocks of a coarse grid: cheap, and blind to noise.

    Args:
        least_share: of blocks that must have changed, 0..1.
    """

    def __init__(self, least_share: float) -> None:
        self._least_share = least_share
        self._last: npt.NDArray[np.float32] | None = None
        self._candidate: npt.NDArray[np.float32] | None = None

    def changed(self, image: Image) -> bool:
        """Return whether a frame differs enough from the last one that was sent."""
        grey = PillowImage.fromarray(image).convert("L").resize((_BLOCKS, _BLOCKS), PillowImage.Resampling.BOX)
        self._candidate = np.asarray(grey, dtype=np.float32)
        if self._last is None:
            return True
        # the whole picture may grow brighter or darker: that is weather, not an event
        difference = self._candidate - self._last
        moved = np.abs(difference - np.median(difference)) > _CHANGED
        return float(moved.mean()) >= self._least_share

    def sent(self) -> None:
        """Say that the frame of the last ``changed`` was sent."""
        self._last = self._candidate
