"""What a figure is about: a picture, the model, the stream it became and each path's reconstruction."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from manypath.paths import DecodePath, check_path
from manypath_lab.evaluation.judges.fidelity import psnr
from manypath_lab.evaluation.pictures import Pixels
from manypath_lab.figures.sheet import Map

if TYPE_CHECKING:
    from manypath.codec import Codec
    from manypath_lab.evaluation.codecs.codec import Baseline


class Subject(NamedTuple):
    """A picture that was encoded.

    Attributes:
        name: of the picture, for people.
        image: uint8 [H, W, 3], the original.
        model: name of the model.
        digest: of the model, hexadecimal.
        quality: at which it was encoded.
        stream: the bitstream, header included.
    """

    name: str
    image: Pixels
    model: str
    digest: str
    quality: float
    stream: bytes

    @property
    def bpp(self) -> float:
        """Bits per pixel, header included."""
        return 8.0 * len(self.stream) / (self.image.shape[0] * self.image.shape[1])

    def subtitle(self, *more: str) -> str:
        """Say what is shown, in one line."""
        height, width = self.image.shape[:2]
        parts = (f"{self.name}, {width}×{height}", f"quality {self.quality:g}", f"model {self.model}", *more)
        return "  ·  ".join(parts)

    def facts(self) -> dict[str, Any]:
        """Return what every figure's data say of their subject."""
        return {
            "picture": self.name,
            "height": self.image.shape[0],
            "width": self.image.shape[1],
            "model": self.model,
            "model_digest": self.digest,
            "quality": self.quality,
            "bitstream_bytes": len(self.stream),
            "bpp": self.bpp,
        }


class View(NamedTuple):
    """One reconstruction.

    Attributes:
        path: its name.
        task_share: of tokens on the side path.
        image: uint8 [H, W, 3].
        psnr_db: against the original, decibels.
        scores: the decoder's score maps, float32 [ceil(H/8), ceil(W/8)]; empty where not asked for.
    """

    path: str
    task_share: float
    image: Pixels
    psnr_db: float
    scores: tuple[Map, ...] = ()


def encode(codec: Codec, image: Pixels, name: str, quality: float) -> Subject:
    """Encode a picture.

    Raises:
        RequestError: the picture or the quality cannot be.
    """
    stream = codec.encode(image, quality=quality)
    return Subject(name, image, codec.name, codec.model_digest, quality, stream)


def views(codec: Codec, subject: Subject, requests: Sequence[tuple[str, float]], *, scores: bool = False) -> list[View]:
    """Decode a subject's stream by several (path, task_share)."""
    reconstructions = codec.reconstruct(subject.stream, requests, scores=scores)
    return [
        View(path, share, one.image, psnr(subject.image, one.image), one.scores)
        for (path, share), one in zip(requests, reconstructions, strict=True)
    ]


def in_order(paths: Collection[str]) -> list[str]:
    """Return paths in the order of every figure: perceptual, mse, classification, segmentation, own by name."""
    known = [path.value for path in DecodePath if path.value in paths]
    return known + sorted(set(paths) - set(known))


def served_paths(codec: Codec, names: Sequence[str] = ()) -> list[str]:
    """Return the paths to show: those wanted, or all that the model has weights for.

    Raises:
        PathError: the model has none of that name.
    """
    if not names:
        return in_order(codec.trained_paths)
    return in_order({check_path(path, codec.sides) for path in names})


def side_paths(codec: Codec, names: Sequence[str] = ()) -> list[str]:
    """Return the paths beside the main one, as ``served_paths``."""
    return [path for path in served_paths(codec, names) if path in codec.sides]


def best_within(baseline: Baseline, image: Pixels, most: int) -> tuple[bytes, int] | None:
    """Return the baseline's best file of at most ``most`` bytes, and its quality; None where there is none."""
    best = None
    low, high = 1, 100
    while low <= high:
        quality = (low + high) // 2
        data = baseline.encode(image, quality)
        if len(data) <= most:
            best, low = (data, quality), quality + 1
        else:
            high = quality - 1
    return best


class Window(NamedTuple):
    """A rectangle of a picture, in pixels."""

    left: int
    top: int
    width: int
    height: int

    def cut(self, image: Pixels) -> Pixels:
        """Return the pixels inside."""
        return image[self.top : self.top + self.height, self.left : self.left + self.width]


def telling_window(
    original: Pixels, others: Sequence[Pixels], share: float = 0.28, square: int | None = None
) -> Window:
    """Return the part of a picture where the reconstructions differ most from one another.

    One reconstruction alone is compared with the original. The window has the picture's shape and ``share`` of its
    sides, or is a square of so many pixels; it lies on a grid of a quarter of itself.
    """
    sides = ((square or round(side * share), side) for side in original.shape[:2])
    height, width = (max(8, min(wanted, side)) for wanted, side in sides)
    height, width = min(height, original.shape[0]), min(width, original.shape[1])
    stack = np.stack([image.astype(np.float32) for image in (others if len(others) > 1 else [original, *others])])
    spread = np.square(stack - stack.mean(0)).sum((0, 3)).astype(np.float64)  # [H, W]
    total = np.pad(spread.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    tops = range(0, original.shape[0] - height + 1, max(1, height // 4))
    lefts = range(0, original.shape[1] - width + 1, max(1, width // 4))

    def inside(top: int, left: int) -> float:
        bottom, right = top + height, left + width
        return float(total[bottom, right] - total[top, right] - total[bottom, left] + total[top, left])

    top, left = max(((top, left) for top in tops for left in lefts), key=lambda corner: inside(*corner))
    return Window(left, top, width, height)
