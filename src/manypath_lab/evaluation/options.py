"""What the measurements' command lines have in common."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from manypath.errors import CheckpointError, QualityError, RequestError

if TYPE_CHECKING:
    from manypath.codec import Codec


def names(text: str) -> list[str]:
    """Return the words of a list separated by commas."""
    return [name.strip() for name in text.split(",") if name.strip()]


def levels(text: str, option: str = "--levels") -> list[float]:
    """Return sorted qualities; the codec itself checks their range.

    Raises:
        QualityError: not a list of numbers.
    """
    try:
        return sorted({float(part) for part in names(text)})
    except ValueError as err:
        raise QualityError(f"{option} must be numbers separated by commas, such as 1,4.5,8; got {text!r}") from err


def numbers(text: str, option: str) -> tuple[float, ...]:
    """Return sorted positive numbers.

    Raises:
        RequestError: not a list of them.
    """
    try:
        found = tuple(sorted({float(part) for part in names(text)}))
    except ValueError:
        found = ()
    if not found or found[0] <= 0:
        raise RequestError(f"{option} must be positive numbers separated by commas, such as 1,2,5; got {text!r}")
    return found


def weights_version(model: str, codec: Codec) -> str:
    """Return what tells one model's weights from another's, side paths included."""
    from manypath import checkpoint

    digest = f"model {codec.model_digest}"
    try:
        file = checkpoint.find(model)
    except CheckpointError:  # one of the random models for tests
        return f"{digest}, {codec.device}"
    return f"{digest}, weights {hashlib.sha256(file.read_bytes()).hexdigest()[:12]}, {codec.device}"


@contextmanager
def progress(total: int, unit: str) -> Iterator[Callable[[str, int], None]]:
    """Show a bar on a terminal; yields what is told of each step."""
    from tqdm import tqdm

    with tqdm(total=total, unit=unit, dynamic_ncols=True, disable=None, file=sys.stderr) as bar:

        def advance(what: str, steps: int) -> None:
            bar.set_postfix_str(what, refresh=False)
            bar.update(steps)

        yield advance
