"""What a decode request may ask for: a path, and the share of tokens that take it."""

from __future__ import annotations

import enum
import math
import re
from collections.abc import Collection

from manypath.arguments import as_number
from manypath.errors import PathError

_OWN_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_RESERVED = ("main", "low")  # names of paths inside the network


class DecodePath(enum.StrEnum):
    """The paths that everybody knows; a model may have sides of other names, for its owner's tasks.

    ``MSE`` is the main path, the one of low distortion, and the others are side paths (MPA, section 3.3). A model
    without a side for people serves ``PERCEPTUAL`` by the main path as well; the published network has a side for
    ``MSE`` and its main path is for people.
    """

    PERCEPTUAL = "perceptual"
    MSE = "mse"
    CLASSIFICATION = "classification"
    SEGMENTATION = "segmentation"
    DETECTION = "detection"
    DEFAULT = PERCEPTUAL  # where a caller names none


FOR_PEOPLE = (DecodePath.PERCEPTUAL.value, DecodePath.MSE.value)  # every model serves these


def is_side_name(name: str) -> bool:
    """Whether a side path may have this name: a well-known one, or a word such as ``vehicles``."""
    return bool(_OWN_NAME.fullmatch(name)) and name not in _RESERVED


def main_path(sides: Collection[str]) -> str:
    """Return the main path's name: ``mse`` in a model with a side for people, else ``perceptual``, which it serves."""
    return (DecodePath.MSE if DecodePath.PERCEPTUAL.value in sides else DecodePath.PERCEPTUAL).value


def check_path(path: str, sides: Collection[str]) -> str:
    """Return which path serves ``path``: itself, or the main path for a well-known machine's without a side.

    ``perceptual`` and ``mse`` serve themselves: one of them, or both, is the main path.

    Args:
        path: a ``DecodePath`` or the name of a model's own side.
        sides: names of the model's side paths.

    Raises:
        PathError: neither well known nor a side; the message lists what there is.
    """
    if not isinstance(path, str):
        raise PathError(f"path must be a DecodePath or another string, got {path!r:.80}")
    if path in sides or path in FOR_PEOPLE:
        return str(path)
    if path in {member.value for member in DecodePath}:
        return main_path(sides)
    known = ", ".join(dict.fromkeys([*(member.value for member in DecodePath), *sorted(sides)]))
    raise PathError(f"path must be one of {known}; got {str(path)!r}")


def check_task_share(task_share: float) -> float:
    """Return ``task_share`` as a float in [0, 1]: 0 is all main path, 1 all side path.

    Raises:
        PathError: not a finite number in [0, 1].
    """
    share = as_number(task_share, "task_share", PathError)
    if not (math.isfinite(share) and 0.0 <= share <= 1.0):
        raise PathError(f"task_share must be in [0, 1], got {task_share!r:.80}")
    return share
