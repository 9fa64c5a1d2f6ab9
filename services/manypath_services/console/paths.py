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
_ALWAYS = ("perceptual", "mse")  # every model serves these, one of them or both by its main path


class PathChoice(NamedTuple):
    """One path that can be chosen.

    Attributes:
        name: of the path.
        words: what it is for.
        trained: whether the model is trained for it; if not, the main path serves it all the same.
        side: whether it is a side path, which a share of the picture may take.
    """

    name: str
    words: str
    trained: bool
    side: bool


async def path_choices(services: CodecServices) -> list[PathChoice]:
    """Return what can be chosen; without a decoder, the well-known paths."""
    try:
        known = await services.decoder_capabilities()
        trained, main = set(known.path_names), known.main_path or PERCEPTUAL
    except ProblemError:
        trained, main = set(_WORDS), PERCEPTUAL
    names = [*_WORDS, *sorted(trained - set(_WORDS))]
    return [
        PathChoice(
            name,
            _WORDS.get(name, "a path of your own"),
            name in _ALWAYS or name in trained,
            name in trained and name != main,
        )
        for name in names
    ]
