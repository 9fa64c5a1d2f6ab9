"""Baselines by name; a new one needs its class and a line here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from manypath_lab.evaluation.codecs.codec import Baseline, BaselineError
from manypath_lab.evaluation.codecs.pillow import Avif, AvifPsnr, Jpeg, JpegXL, WebP
from manypath_lab.evaluation.codecs.vvc import Vvc

_CLASSES: dict[str, Any] = {baseline.name: baseline for baseline in (Jpeg, WebP, JpegXL, Avif, AvifPsnr, Vvc)}

NAMES = tuple(_CLASSES)
"""Cheapest first."""


def make_baselines(names: Sequence[str], *, threads: int = 1) -> list[Baseline]:
    """Return the baselines called ``names``, in that order.

    Args:
        names: out of ``NAMES``.
        threads: that a library may use, where it can be told.

    Raises:
        BaselineError: an unknown name, or a library that is not installed.
    """
    unknown = [name for name in names if name not in _CLASSES]
    if unknown:
        raise BaselineError(f"baseline must be one of {', '.join(NAMES)}; got {', '.join(unknown)}")
    return [_CLASSES[name](threads=threads) for name in names]
