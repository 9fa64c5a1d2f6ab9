"""What a decode request may ask for: a path, and the share of tokens that take it."""

from __future__ import annotations

import enum
import math

from manypath.errors import PathError


class Path(enum.StrEnum):
    """A way through the synthesis transform.

    ``PERCEPTUAL`` is the main path; the others are side paths (MPA, section 3.3).
    """

    PERCEPTUAL = "perceptual"
    MSE = "mse"
    CLASSIFICATION = "classification"
    SEGMENTATION = "segmentation"

    @classmethod
    def parse(cls, name: str | Path) -> Path:
        """Return the path called ``name``.

        Raises:
            PathError: no such path; the message lists those that exist.
        """
        try:
            return cls(name)
        except ValueError as err:
            known = ", ".join(path.value for path in cls)
            raise PathError(f"path must be one of {known}; got {str(name)!r}") from err


def check_task_share(task_share: float) -> float:
    """Return ``task_share`` as a float in [0, 1]: 0 is all main path, 1 all side path.

    Raises:
        PathError: not a finite number in [0, 1].
    """
    share = float(task_share)
    if not (math.isfinite(share) and 0.0 <= share <= 1.0):
        raise PathError(f"task_share must be in [0, 1], got {task_share!r}")
    return share
