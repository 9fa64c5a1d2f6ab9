"""What requests must have in common to share the networks' passes."""

from __future__ import annotations

_ALIGNED = 64  # pixels; docs/bitstream.md


def padded(width: int, height: int) -> tuple[int, int]:
    """Return the sides of what the networks see of a picture, in pixels: multiples of 64."""
    return -(-width // _ALIGNED) * _ALIGNED, -(-height // _ALIGNED) * _ALIGNED
