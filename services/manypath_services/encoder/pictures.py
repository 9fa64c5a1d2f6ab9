"""Pictures from outside: a message's file or raw samples, with sizes checked before anything is decoded."""

from __future__ import annotations

import numpy as np

from manypath_api.v1 import codec_pb2 as pb
from manypath_pictures import reader
from manypath_pictures.errors import PictureDamagedError, PictureFormatError
from manypath_pictures.reader import FORMATS, Samples


def check_picture(picture: pb.Picture, max_pixels: int) -> reader.Size:
    """Refuse at the door what needs no decoding to be refused, and return the size as it is stored.

    Only a file's header is read.

    Raises:
        PictureError: nothing there, no picture, too large, or raw samples that do not fit their size.
    """
    kind = picture.WhichOneof("content")
    if kind == "raw":
        raw = picture.raw
        size = reader.Size(raw.width, raw.height)
        reader.check_size(size, max_pixels)
        expected = 3 * raw.width * raw.height
        given = len(raw.data)
        if given != expected:
            raise PictureDamagedError(f"raw RGB samples of {raw.width}x{raw.height} take {expected} bytes, got {given}")
        return size
    file = picture.file  # once: each look at it copies it
    if not file:
        raise PictureFormatError(f"there is no picture; give file ({', '.join(FORMATS)}) or raw")
    size = reader.stored_size(file)
    reader.check_size(size, max_pixels)
    return size


def read_picture(picture: pb.Picture, max_pixels: int) -> Samples:
    """Decode a picture that ``check_picture`` let pass.

    Args:
        picture: a file or raw samples.
        max_pixels: largest width times height.

    Returns:
        uint8 [H, W, 3], sRGB, upright: see ``manypath_pictures.reader.read_picture``.

    Raises:
        PictureError: the file is damaged, animated, transparent, or has more than 8 bits a sample.
    """
    if picture.WhichOneof("content") == "raw":
        raw = picture.raw
        samples = np.frombuffer(raw.data, np.uint8).reshape(raw.height, raw.width, 3)
        return samples.copy()  # torch refuses read-only memory
    return reader.read_picture(picture.file, max_pixels=max_pixels)
