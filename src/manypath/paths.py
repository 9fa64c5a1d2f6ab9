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

    ``PERCEPTUAL`` is the main path; the others are side paths (MPA, section 3.3).
    """

    PERCEPTUAL = "perceptual"
    MSE = "mse"
    CLASSIFICATION = "classification"
    SEGMENTATION = "segmentation"
    DETECTION = "detection"


def is_side_name(name: str) -> bool:
    """Whether a side path may have this name: a well-known one, or a word such as ``vehicles``."""
    return bool(_OWN_NAME.fullmatch(name)) and name not in (*_RESERVED, DecodePath.PERCEPTUAL.value)


def check_path(path: str, trained: Collection[str]) -> str:
    """Return the name of the path that serves ``path``: a well-known one without a trained side is the main path's.

    Args:
        path: a ``DecodePath`` or the name of a model's own side.
        trained: names that the model has weights for.

    Raises:
        PathError: neither well known nor trained; the message lists what there is.
    """
    if not isinstance(path, str):
        raise PathError(f"path must be a DecodePath or another string, got {path!r:.80}")
    if path in trained:
        return str(path)
    if path in {member.value for member in DecodePath}:
        return DecodePath.PERCEPTUAL.value
    known = ", ".join(dict.fromkeys([*(member.value for member in DecodePath), *sorted(trained)]))
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
