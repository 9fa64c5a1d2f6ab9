"""Our codec through its front door: each stream is written once and decoded by every path."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from manypath import checkpoint
from manypath.errors import CheckpointError
from manypath.paths import DecodePath
from manypath.rate import Rate
from manypath_lab.evaluation.codecs.codec import Coded, Line
from manypath_lab.evaluation.pictures import Picture

if TYPE_CHECKING:
    from manypath.codec import Codec

LEVELS = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0)

Requests = Sequence[tuple[str, float]]
"""Paths, each with the share of tokens that take it."""


class OurSource:
    """Our codec as a source; its results are never kept, since weights change daily.

    Args:
        codec: ours.
        requests: paths with their share; default: all that the model has weights for, at 1.
        name: tells several models apart, in labels too; one model is called by its codec's name.
        version: of the weights; the model's digest says nothing of side paths.
        qualities: in rising order.
        effort: of the encoder.
    """

    def __init__(
        self,
        codec: Codec,
        requests: Requests | None = None,
        *,
        name: str | None = None,
        version: str | None = None,
        qualities: Sequence[float] = LEVELS,
        effort: int = 0,
    ) -> None:
        self._codec = codec
        self._requests = list(requests) if requests else [(path, 1.0) for path in served_paths(codec)]
        label = "Manypath" if name is None else f"Manypath {name}"
        name = name or codec.name
        version = version or f"model {codec.model_digest}, {codec.device}"
        self.lines = tuple(
            Line(
                *(f"{name}-{_spell(path, share, '-')}", f"{label} {_spell(path, share, ' ')}", version),
                path=path,
                share=share,
                main=path not in codec.sides,
            )
            for path, share in self._requests
        )
        self.qualities = qualities
        self._effort = effort

    def settings(self, quality: float) -> None:
        """Nothing is kept."""
        return

    def code(self, pictures: Sequence[Picture], quality: float) -> list[list[Coded]]:
        """Encode to real bitstreams and decode each by every path."""
        pixels = [picture.pixels for picture in pictures]
        streams = self._codec.encode_batch(pixels, Rate(quality=quality, effort=self._effort))
        decoded = [self._codec.decode_paths(stream, self._requests) for stream in streams]
        return [
            [Coded(len(stream), images[number]) for stream, images in zip(streams, decoded, strict=True)]
            for number in range(len(self._requests))
        ]


def served_paths(codec: Codec) -> list[str]:
    """Return the model's paths: the main path, the well-known ones it has weights for, then its owner's by name."""
    known = [path.value for path in DecodePath if path.value in codec.trained_paths]
    return known + sorted(codec.trained_paths - set(known))


def weights_version(model: str, codec: Codec) -> str:
    """Return what tells one model's weights from another's, side paths included."""
    digest = f"model {codec.model_digest}"
    try:
        file = checkpoint.find(model)
    except CheckpointError:  # one of the random models for tests
        return f"{digest}, {codec.device}"
    return f"{digest}, weights {hashlib.sha256(file.read_bytes()).hexdigest()[:12]}, {codec.device}"


def _spell(path: str, share: float, between: str) -> str:
    return path if share == 1.0 else f"{path}{between}{share:g}"
