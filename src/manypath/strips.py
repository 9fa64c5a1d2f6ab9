"""Strips: a picture cut for the transforms, each strip with a margin, and put together again.

Pictures of more than 4 Mpx are cut into strips (``geometry.strip_heights``). Strips are entropy-coded on their own; the
transforms see a margin around each that is as wide as they can reach, so no seam shows where a strip was cut, and
memory is bounded by a strip, not by the picture.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from manypath.geometry import LATENT_PIXELS, padded, strip_rows
from manypath.image import Image, pad_to


class Strip(NamedTuple):
    """One strip of a picture, in padded rows.

    Attributes:
        top: first row.
        bottom: first row below it.
        start: first row of its margin above.
        end: first row below its margin.
    """

    top: int
    bottom: int
    start: int
    end: int

    def within(self, latents: Tensor) -> Tensor:
        """Return the strip's own of latents [B, h, w, M] that cover its margins, too."""
        return latents[:, (self.top - self.start) // LATENT_PIXELS : (self.bottom - self.start) // LATENT_PIXELS]


def strips_of(width: int, height: int, reach: int) -> list[Strip]:
    """Return the strips of a picture from the top, with margins of ``reach`` rows where there is picture."""
    end = padded(height)
    rows = strip_rows(width, height)
    return [Strip(top, bottom, max(0, top - reach), min(end, bottom + reach)) for top, bottom in rows]


def cut(images: Sequence[Image], strip: Strip) -> Tensor:
    """Return a strip with its margins of pictures of one size, padded: uint8 [B, rows, W, 3]."""
    height, width = images[0].shape[:2]
    rows = slice(strip.start, min(strip.end, height))
    cuts = [pad_to(image[rows], strip.end - strip.start, padded(width)) for image in images]
    return torch.from_numpy(np.stack(cuts))  # a copy: arrays may be read-only, or run backwards


def with_margins(strips: Sequence[Strip], source: Iterator[Tensor]) -> Iterator[tuple[Strip, Tensor]]:
    """Yield each strip with latents [B, rows, w, M] that cover its margins, too.

    Only those latents are kept that a later strip still needs.

    Args:
        strips: of one picture, from the top.
        source: each strip's own latents, in order; taken no sooner than they are needed, and to its end.
    """
    latents: list[Tensor] = []  # of strips from ``first`` on
    first = 0
    for strip in strips:
        while strips[first].bottom <= strip.start:
            del latents[0]
            first += 1
        last = first + len(latents)
        while last < len(strips) and strips[last].top < strip.end:
            latents.append(next(source))
            last += 1
        origin = strips[first].top
        rows = slice((strip.start - origin) // LATENT_PIXELS, (strip.end - origin) // LATENT_PIXELS)
        yield strip, (latents[0] if len(latents) == 1 else torch.cat(latents, 1))[:, rows]
    for _ in source:  # runs what stands behind its last latents
        pass
