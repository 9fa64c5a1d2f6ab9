"""Pictures from outside: sizes are checked before anything is decoded."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage
from PIL import ImageOps, UnidentifiedImageError

from manypath.errors import ImageError
from manypath_api.v1 import codec_pb2 as pb

FORMATS = ("JPEG", "PNG", "WEBP")
_MAX_SIDE = 16384  # pixels; the bitstream's limit
_ALPHA_MODES = ("RGBA", "LA", "PA", "RGBa", "La")

# Pillow only warns of a picture twice its own limit; ours are errors and are checked before it decodes.
PillowImage.MAX_IMAGE_PIXELS = None

Image = npt.NDArray[np.uint8]


def check_picture(picture: pb.Picture, max_pixels: int) -> None:
    """Refuse at the door what needs no decoding to be refused.

    Raises:
        ImageError: nothing there, or raw samples that do not fit their size.
    """
    kind = picture.WhichOneof("content")
    if kind == "raw":
        raw = picture.raw
        _check_size(raw.width, raw.height, max_pixels)
        expected = 3 * raw.width * raw.height
        if len(raw.data) != expected:
            raise ImageError(f"raw RGB samples of {raw.width}x{raw.height} take {expected} bytes, got {len(raw.data)}")
    elif not picture.file:
        raise ImageError(f"there is no picture; give file ({', '.join(FORMATS)}) or raw")


def read_picture(picture: pb.Picture, max_pixels: int) -> Image:
    """Decode a picture that ``check_picture`` let pass.

    Args:
        picture: a file or raw samples.
        max_pixels: largest width times height.

    Returns:
        uint8 [H, W, 3], RGB, turned as its EXIF orientation says; the first picture of an MPO. Colour profiles are
        not applied.

    Raises:
        ImageError: the file is none, is damaged, too large, animated, transparent, or has other samples than
            8 bits.
    """
    if picture.WhichOneof("content") == "raw":
        raw = picture.raw
        samples = np.frombuffer(raw.data, np.uint8).reshape(raw.height, raw.width, 3)
        return samples.copy()  # torch refuses read-only memory
    try:
        with PillowImage.open(io.BytesIO(picture.file), formats=FORMATS) as opened:
            _check_size(opened.width, opened.height, max_pixels)
            frames = getattr(opened, "n_frames", 1)
            # a phone's JPEG may carry a second picture for its viewer (MPO): a depth or gain map, the other eye's view
            if frames != 1 and opened.format != "MPO":
                raise ImageError(f"a picture has one frame, got {frames}; send frames one by one")
            opened.load()
            return _to_rgb(opened)
    except UnidentifiedImageError as err:
        raise ImageError(f"the file is none of {', '.join(FORMATS)}") from err
    except (OSError, SyntaxError, ValueError, EOFError) as err:  # what Pillow raises for damaged files
        raise ImageError(f"the picture file is damaged: {err}") from err


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if not (1 <= width <= _MAX_SIDE and 1 <= height <= _MAX_SIDE):
        raise ImageError(f"a picture's sides are 1..{_MAX_SIDE} pixels, got {width}x{height}")
    if width * height > max_pixels:
        raise ImageError(f"a picture has at most {max_pixels} pixels here, got {width}x{height} = {width * height}")


def _to_rgb(opened: PillowImage.Image) -> Image:
    if opened.mode in _ALPHA_MODES or "transparency" in opened.info:
        alpha = np.asarray(opened.convert("RGBA").getchannel("A"))
        if alpha.min() < 255:
            raise ImageError("the picture has transparent pixels; flatten it onto a background first")
    elif opened.mode not in ("RGB", "L", "P", "1"):
        raise ImageError(f"a picture has 8-bit grey, palette or RGB samples, got mode {opened.mode}")
    return np.array(ImageOps.exif_transpose(opened).convert("RGB"))
