"""Facts of the format that have the unit pixel: grids, padding, the largest side, where strips are cut."""

from __future__ import annotations

from collections.abc import Iterator

TOKEN_PIXELS = 8  # side of one token of the transforms
LATENT_PIXELS = 16  # side of one latent position
WINDOW_PIXELS = 64  # side of a routing window and of a hyper-latent position; a picture is padded to whole ones
MAX_SIDE = 16384
MAX_PIXELS = MAX_SIDE**2  # by default nothing that the header can say is refused for its size
MAX_STRIP_PIXELS = 2**22  # padded pixels


def ceil_div(number: int, divisor: int) -> int:
    """Return how many times ``divisor`` it takes to cover ``number``."""
    return -(-number // divisor)


def padded(pixels: int) -> int:
    """Return the length of a side, in pixels, after padding to whole windows."""
    return ceil_div(pixels, WINDOW_PIXELS) * WINDOW_PIXELS


def strip_heights(width: int, height: int) -> tuple[int, ...]:
    """Return the height of each horizontal strip from the top, in padded pixels.

    Both ends cut by this rule, so strips need no bytes in the stream.

    Args:
        width: of the picture, pixels, at least 1.
        height: of the picture, pixels, at least 1.
    """
    full = max(1, MAX_STRIP_PIXELS // (padded(width) * WINDOW_PIXELS)) * WINDOW_PIXELS
    count, rest = divmod(padded(height), full)
    return (full,) * count + ((rest,) if rest else ())


def strip_rows(width: int, height: int) -> Iterator[tuple[int, int]]:
    """Yield the first row of each strip and the first one below it, in padded pixels."""
    top = 0
    for rows in strip_heights(width, height):
        yield top, top + rows
        top += rows
