"""Colours of many kinds to sRGB: profiles are applied, and one that cannot be is as if it were not there."""

from __future__ import annotations

import io
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms, ImageColor

from manypath_pictures.errors import BackgroundError

MOST_PROFILE_BYTES = 4 * 2**20
"""Printers' profiles take up to 3 MB."""

_KEPT_BYTES = 2**16  # of a profile whose transform is kept

_SPACES = {b"RGB ": "RGB", b"GRAY": "L", b"CMYK": "CMYK"}
_FLOAT_TAGS = (b"D2B0", b"D2B1", b"D2B2", b"D2B3")
_TAG_TABLE, _TAG_BYTES, _MOST_TAGS = 128, 12, 100
_SAME = 2  # levels: a profile that moves no colour further is sRGB by another name
_GRID = np.stack(np.meshgrid(*3 * [np.arange(0, 256, 17, dtype=np.uint8)], indexing="ij"), axis=-1).reshape(64, 64, 3)


def background_colour(text: str) -> tuple[int, int, int]:
    """Return a colour's red, green and blue, 0 to 255.

    Raises:
        BackgroundError: it is none, or is transparent itself.
    """
    try:
        colour = ImageColor.getrgb(text)
    except (ValueError, AttributeError, TypeError) as err:
        raise BackgroundError(f"a background is a colour such as white or #20242c, got {text!r}") from err
    if colour[3:] not in ((), (255,)):
        raise BackgroundError(f"a background is an opaque colour such as white or #20242c, got {text!r}")
    return colour[0], colour[1], colour[2]


def to_srgb(picture: Image.Image, profile: bytes) -> Image.Image:
    """Return a loaded picture as RGB, its profile applied where it has one for samples of its kind.

    A profile for colours on a grey picture is applied to its greys as colours; any other misfit, and whatever cannot
    be read as a profile, is left alone. The intent is relative colorimetric with black point compensation.
    """
    space = _SPACES.get(profile[16:20])
    if space is None or len(profile) > MOST_PROFILE_BYTES:
        return _as_rgb(picture)
    if space == "RGB" and picture.mode != "CMYK":
        picture = _as_rgb(picture)
    elif space == "L" and picture.mode in ("LA", "1"):
        picture = picture.convert("L")
    if picture.mode != space:
        return _as_rgb(picture)
    try:
        build = _transform if len(profile) <= _KEPT_BYTES else _transform.__wrapped__
        transform = build(profile, space)
        converted = picture if transform is None else ImageCms.applyTransform(picture, transform)
    except Exception:  # noqa: BLE001  (whatever the library says of a profile, the pixels are sound)
        return _as_rgb(picture)
    return _as_rgb(picture) if converted is None else converted


def _as_rgb(picture: Image.Image) -> Image.Image:
    """Return a picture as RGB; one that is, itself: the library would copy it."""
    return picture if picture.mode == "RGB" else picture.convert("RGB")


@lru_cache(16)  # a camera's pictures all have the same one, and it takes milliseconds to build
def _transform(profile: bytes, space: str) -> ImageCms.ImageCmsTransform | None:
    """Return what converts samples of ``space`` to sRGB; None if they are that already."""
    transform = ImageCms.buildTransform(
        ImageCms.ImageCmsProfile(io.BytesIO(_without_float_tags(profile))),
        ImageCms.createProfile("sRGB"),
        space,
        "RGB",
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
        ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    return None if space == "RGB" and _changes_nothing(transform) else transform


def _changes_nothing(transform: ImageCms.ImageCmsTransform) -> bool:
    """Return whether a transform is, but for rounding, that of sRGB to itself: such pictures keep their samples."""
    converted = ImageCms.applyTransform(Image.fromarray(_GRID), transform)
    return bool(np.abs(np.asarray(converted, np.int16) - _GRID).max() <= _SAME)


def _without_float_tags(profile: bytes) -> bytes:
    """Return a profile whose programs of any length have no name: the tables that it must have as well are used.

    Such a program may repeat one step a hundred thousand times for each colour.
    """
    patched = bytearray(profile)
    tags = min(int.from_bytes(profile[_TAG_TABLE : _TAG_TABLE + 4]), _MOST_TAGS)
    for start in range(_TAG_TABLE + 4, _TAG_TABLE + 4 + _TAG_BYTES * tags, _TAG_BYTES):
        if bytes(patched[start : start + 4]) in _FLOAT_TAGS:
            patched[start : start + 4] = b"none"
    return bytes(patched)
