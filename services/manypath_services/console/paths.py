"""The paths that a page offers: the well-known ones, and behind them a model's own."""

from __future__ import annotations

from typing import NamedTuple

from manypath_services.console.choices import PERCEPTUAL
from manypath_services.console.codec_services import CodecServices
from manypath_services.console.problems import ProblemError

_WORDS = {
    "perceptual": "for people: looks right",
    "mse": "least squared error",
    "classification": "for a classifier",
    "segmentation": "for a segmenter",
    "detection": "for a detector",
}


class PathChoice(NamedTuple):
    """One path that can be chosen.

    Attributes:
        name: of the path.
        words: what it is for.
        trained: whether the model has a side for it; if not, the main path serves it.
    """

    name: str
    words: str
    trained: bool


async def path_choices(services: CodecServices) -> list[PathChoice]:
    """Return what can be chosen; without a decoder, the well-known paths."""
    try:
        trained = set((await services.decoder_capabilities()).path_names)
    except ProblemError:
        trained = set(_WORDS)
    names = [*_WORDS, *sorted(trained - set(_WORDS))]
    return [
        PathChoice(name, _WORDS.get(name, "a path of your own"), name == PERCEPTUAL or name in trained)
        for name in names
    ]
