"""A model's own parts beside a codec of it, for tests that look below the front door."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from manypath import checkpoint
from manypath.codec import Codec
from manypath.coding import SymbolCoder
from manypath.network import Network
from manypath.testing import random_by_name


class Parts(NamedTuple):
    """One model's.

    Attributes:
        codec: computes with the model.
        model: the codec's own, and in its number type: what changes here changes there.
        coder: of the model.
    """

    codec: Codec
    model: Network
    coder: SymbolCoder


def parts(name: str | Path, dtype: str = "float32") -> Parts:
    """Return the parts of a model by its name or file."""
    released = random_by_name(str(name)) or checkpoint.load(name)
    codec = Codec(released, Path(name).stem, dtype=dtype)
    coder = SymbolCoder(released.model, released.latent_tables, released.hyper_tables)
    return Parts(codec, released.model, coder)
