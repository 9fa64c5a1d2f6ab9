"""Judges by name; a new one needs its module and a line here."""

from __future__ import annotations

import functools
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

from manypath.errors import RequestError
from manypath_lab.classifier.networks import NETWORKS
from manypath_lab.evaluation.judges.judge import Judge


def _perceptual(network: str) -> Judge:
    from manypath_lab.evaluation.judges.perceptual import PerceptualJudge

    return PerceptualJudge(network)


def _wasserstein(network: str) -> Judge:
    from manypath_lab.evaluation.judges.perceptual import WassersteinJudge

    return WassersteinJudge(network)


def _classifier(network: str) -> Judge:
    from manypath_lab.evaluation.judges.top1 import ClassifierJudge

    return ClassifierJudge(network)


def _segmenter(file: str = "") -> Judge:
    from manypath_lab.evaluation.judges.miou import SegmenterJudge

    return SegmenterJudge(pathlib.Path(file) if file else None)


def _detector(file: str = "") -> Judge:
    from manypath_lab.evaluation.judges.boxes import DetectorJudge

    return DetectorJudge(pathlib.Path(file) if file else None)


def _texture() -> Judge:
    from manypath_lab.evaluation.judges.texture import TextureJudge

    return TextureJudge()


def _fidelity(name: str) -> Judge:
    from manypath_lab.evaluation.judges.fidelity import PsnrJudge, SimilarityJudge

    return PsnrJudge() if name == "psnr" else SimilarityJudge()


_MAKERS: dict[str, Callable[..., Judge]] = {
    **{name: functools.partial(_fidelity, name) for name in ("psnr", "ms-ssim")},
    "texture": _texture,
    "perceptual": functools.partial(_perceptual, "lite0"),
    **{f"perceptual-{name}": functools.partial(_perceptual, name) for name in NETWORKS if name != "lite0"},
    **{f"wasserstein-{name}": functools.partial(_wasserstein, name) for name in NETWORKS},
    **{name: functools.partial(_classifier, name) for name in NETWORKS},
    "segmenter": _segmenter,
    "detector": _detector,
}
_WITH_FILE = frozenset({"segmenter", "detector"})

NAMES = tuple(_MAKERS)


def make_judges(names: Sequence[str]) -> list[Judge]:
    """Return the judges called ``names``, in that order.

    Args:
        names: out of ``NAMES``; ``segmenter=FILE`` and ``detector=FILE`` take the weights in a file.

    Raises:
        RequestError: an unknown name, or a file for a judge that takes none.
        CheckpointError: a network or its weights are missing.
    """
    judges = []
    for text in names:
        name, equals, file = text.partition("=")
        if name not in _MAKERS or (equals and (name not in _WITH_FILE or not file)):
            known = ", ".join(f"{known}[=FILE]" if known in _WITH_FILE else known for known in NAMES)
            raise RequestError(f"judge must be one of {known}; got {text!r}")
        arguments: Any = (file,) if equals else ()
        judges.append(_MAKERS[name](*arguments))
    return judges
