"""A learned image codec: one picture, one bitstream, many paths.

::

    from manypath import Codec, DecodePath, Rate, inspect

    codec = Codec.load()
    stream = codec.encode(picture, Rate(max_bytes=30_000))
    codec.decode(stream, path=DecodePath.CLASSIFICATION)

What is named here is public, and so are the errors' module and ``manypath.testing``; everything else may change.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from manypath.allocation import keep_memory
    from manypath.bitstream import StreamInfo, inspect
    from manypath.codec import Codec
    from manypath.decoding import Reconstruction
    from manypath.errors import (
        BitstreamError,
        BudgetError,
        CheckpointError,
        ConfigError,
        CorruptError,
        DesyncError,
        EffortError,
        FormatError,
        ImageError,
        LimitError,
        ManypathError,
        ModelMismatchError,
        PathError,
        QualityError,
        RequestError,
        TruncatedError,
    )
    from manypath.image import Image
    from manypath.inspection import ScoreMap
    from manypath.paths import DecodePath
    from manypath.rate import Rate
    from manypath.timings import StageTimings

__all__ = [
    "BitstreamError",
    "BudgetError",
    "CheckpointError",
    "Codec",
    "ConfigError",
    "CorruptError",
    "DecodePath",
    "DesyncError",
    "EffortError",
    "FormatError",
    "Image",
    "ImageError",
    "LimitError",
    "ManypathError",
    "ModelMismatchError",
    "PathError",
    "QualityError",
    "Rate",
    "Reconstruction",
    "RequestError",
    "ScoreMap",
    "StageTimings",
    "StreamInfo",
    "TruncatedError",
    "inspect",
    "keep_memory",
]

_HOMES = {
    "Codec": "codec",
    "DecodePath": "paths",
    "Image": "image",
    "Rate": "rate",
    "Reconstruction": "decoding",
    "ScoreMap": "inspection",
    "StageTimings": "timings",
    "StreamInfo": "bitstream",
    "inspect": "bitstream",
    "keep_memory": "allocation",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is asked for: errors and ``inspect`` then need no torch, which takes seconds."""
    if name not in __all__:
        raise AttributeError(f"module 'manypath' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"manypath.{_HOMES.get(name, 'errors')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the public names with the module's own."""
    return sorted({*globals(), *__all__})
