"""What a request may ask of a model."""

from __future__ import annotations

from typing import NamedTuple


class Limits(NamedTuple):
    """What a request may ask of a model.

    Attributes:
        rows: largest first axis of an input of any length: a network's memory grows with it, not with bytes that came.
        elements: of all inputs together.
        side: longest axis behind the first.
        seconds: of one run.
    """

    rows: int
    elements: int
    side: int
    seconds: float
