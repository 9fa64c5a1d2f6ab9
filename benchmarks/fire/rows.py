"""A row of the table: an attack or a fault, what was measured, and whether that is what is wanted."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Options(NamedTuple):
    """What the command line asks for.

    Attributes:
        model: of encoder and decoder.
        outage_seconds: that the decoder is away.
        load_seconds: of each measurement under load.
    """

    model: str
    outage_seconds: float
    load_seconds: float


class Row(NamedTuple):
    """One result.

    Attributes:
        measured: in words and numbers.
        met: whether it is what is wanted.
    """

    measured: str
    met: bool


class Attack(NamedTuple):
    """One row before it is measured."""

    name: str
    attack: str
    wanted: str
    measure: Callable[[Options], Row]


ATTACKS: list[Attack] = []


def attack(name: str, description: str, wanted: str) -> Callable[[Callable[[Options], Row]], Callable[[Options], Row]]:
    """Put a function into the table."""

    def add(measure: Callable[[Options], Row]) -> Callable[[Options], Row]:
        ATTACKS.append(Attack(name, description, wanted, measure))
        return measure

    return add
