"""What a spool may keep: limits by bytes, age and free disk, and which frames go first."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

_HOUR = 3600.0  # seconds


class Policy(StrEnum):
    """Which frames go when a limit is met."""

    DROP_OLDEST = "drop_oldest"
    DROP_NEWEST = "drop_newest"
    THIN = "thin"


class Reason(StrEnum):
    """Why a frame left the spool without having been delivered."""

    AGE = "age"
    BYTES = "bytes"
    DISK = "disk"
    REJECTED = "rejected"
    CORRUPT = "corrupt"


@dataclass(frozen=True)
class Limits:
    """What a spool may keep.

    Attributes:
        max_bytes: of all payloads together.
        max_age_seconds: since a frame was put in.
        min_free_bytes: that must stay free on the disk.
        policy: ``drop_oldest``, ``drop_newest`` (what comes is refused), or ``thin`` (every second frame of the
            oldest hour goes, then of the next: an outage keeps its whole length, at half the rate).
    """

    max_bytes: int = 10**9
    max_age_seconds: float = 7 * 24 * _HOUR
    min_free_bytes: int = 256 * 2**20
    policy: Policy = Policy.DROP_OLDEST


class Victim(NamedTuple):
    """An item that is to go."""

    sequence: int
    size: int


def aged(connection: sqlite3.Connection, before: float) -> list[Victim]:
    """Return every item that was put in before a time of the spool's clock; age spares nobody."""
    rows = connection.execute("SELECT sequence, size FROM items WHERE stored_at < ? ORDER BY sequence", (before,))
    return [Victim(*row) for row in rows]


def victims(connection: sqlite3.Connection, needed: int, policy: Policy, spared: Collection[int]) -> list[Victim]:
    """Return the next items to go, at least one where any may.

    Args:
        connection: of the spool.
        needed: bytes of payloads to free; ``thin`` frees them in steps of its own, the others in one.
        policy: ``drop_newest`` removes from the newest end here: whatever came last, goes.
        spared: items on their way to the receiver; dropping them would count as lost what is then delivered.
    """
    if policy is Policy.THIN:
        return _thinned(connection, spared)
    order = "DESC" if policy is Policy.DROP_NEWEST else "ASC"
    chosen: list[Victim] = []
    total = 0
    for row in connection.execute(f"SELECT sequence, size FROM items ORDER BY sequence {order}"):  # noqa: S608
        victim = Victim(*row)
        if victim.sequence in spared:
            continue
        chosen.append(victim)
        total += victim.size
        if total >= needed:
            break
    return chosen


def _thinned(connection: sqlite3.Connection, spared: Collection[int]) -> list[Victim]:
    """Return every second item of the oldest of the fullest hours; the oldest of all where none has two.

    Hours are alike that differ by less than a factor of two, so the oldest hour is thinned first, then the next, and a
    second time only after all others: a long outage keeps its whole length at an even rate.
    """
    hours: dict[int, list[Victim]] = {}
    for sequence, size, stored_at in connection.execute(
        "SELECT sequence, size, stored_at FROM items ORDER BY sequence"
    ):
        if sequence not in spared:
            hours.setdefault(int(stored_at // _HOUR), []).append(Victim(sequence, size))
    if not hours:
        return []
    fullest = max(len(hour).bit_length() for hour in hours.values())
    hour = next(hour for _, hour in sorted(hours.items()) if len(hour).bit_length() == fullest)
    return hour[1::2] or hour[:1]
