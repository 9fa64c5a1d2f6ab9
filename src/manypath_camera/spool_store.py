"""A spool's work on its file: what its one thread does."""

from __future__ import annotations

import logging
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple, TypeVar

from manypath_camera.clock import Clock, SteadyClock
from manypath_camera.dead_letters import DeadLetters
from manypath_camera.errors import SpoolKeyError
from manypath_camera.retention import Limits, Policy, Reason, Victim, aged, victims
from manypath_camera.sealing import Seal
from manypath_camera.sequences import SequenceRange, SequenceSet
from manypath_camera.spool_file import (
    LOG_PAGES,
    PAGE_BYTES,
    checksum,
    drop_ballast,
    file_bytes,
    load_ballast,
    open_file,
    transaction,
)

Result = TypeVar("Result")
_log = logging.getLogger(__name__)
_PAGES_AT_ONCE = 250  # given back to the disk in one transaction
_PAGES_A_TICK = 2000  # 8 MB, which takes milliseconds; what is free within the file is used again as well
_ALL_PAGES = 2**31
_LOG_BYTES = LOG_PAGES * (PAGE_BYTES + 24)  # that stay free for the write-ahead log
_MARGIN_BYTES = 2**19  # for what the last transaction writes beyond that
_DELETED_AT_ONCE = 32
_SESSIONS_KEPT = 256  # of senders; the one not heard of for longest is forgotten first


class Item(NamedTuple):
    """A frame in the spool.

    Attributes:
        sequence: its number, ascending, never used twice.
        sender: whose it is: a camera's name.
        captured_at: seconds since 1970.
        payload: the message.
    """

    sequence: int
    sender: str
    captured_at: float
    payload: bytes


class Origin(NamedTuple):
    """Where a frame came from, so that it is put in once.

    Attributes:
        session: of its sender.
        sequence: of the frame there.
        settled: the sender holds no number up to this one any more.
    """

    session: str
    sequence: int
    settled: int = 0


class Put(NamedTuple):
    """What became of a frame.

    Attributes:
        sequence: in this spool; None where it was not put in.
        repeated: it had been put in before.
        dropped: the policy refused it.
    """

    sequence: int | None
    repeated: bool = False
    dropped: Reason | None = None


class SpoolStore:
    """The tables and the counts; every method belongs to the thread that called ``open``.

    Args:
        folder: of this spool alone.
        limits: what it may keep.
        key: for encryption at rest; None is none.
        clock: where the time comes from.

    Attributes:
        limits: as given.
        session: names this spool for ever.
        dropped: frames that left undelivered, by reason, since it was opened.
        claimed: sequences on their way, which limits by bytes and disk spare.
        items: frames in it.
        size_bytes: of their payloads.
        last: highest sequence ever given.
    """

    def __init__(self, folder: Path, limits: Limits, key: bytes | None, clock: Clock) -> None:
        self.limits = limits
        self.session = ""
        self.dropped: dict[Reason, int] = dict.fromkeys(Reason, 0)
        self.claimed: set[int] = set()
        self.items = self.size_bytes = self.last = 0
        self._folder = folder
        self._clock = clock
        self._steady = SteadyClock(clock)
        self._seal = Seal(key) if key else None
        self._lowest = 0
        self._oldest: float | None = None
        self._opened: sqlite3.Connection | None = None

    @property
    def settled(self) -> int:
        """Every number up to this one has left the spool for good."""
        return self._lowest - 1 if self.items else self.last

    def oldest_age_seconds(self) -> float:
        """Return seconds since the oldest was put in; 0 where it is empty."""
        oldest = self._oldest
        return 0.0 if oldest is None else max(0.0, self._steady.now() - oldest)

    @property
    def _connection(self) -> sqlite3.Connection:
        if self._opened is None:
            raise sqlite3.ProgrammingError("the spool is not open")
        return self._opened

    def open(self) -> None:
        """Open the file, or make it.

        Raises:
            SpoolKeyError: it was written with another key, or with none.
            SpoolError: it cannot be opened.
        """
        opened = open_file(self._folder)
        self._opened = opened.connection
        self._check_key()
        (self.session,) = self._connection.execute("SELECT value FROM meta WHERE key = 'session'").fetchone()
        (newest,) = self._connection.execute("SELECT MAX(stored_at) FROM items").fetchone()
        self._steady = SteadyClock(self._clock, newest or 0.0)
        if opened.salvaged is not None:
            self.dropped[Reason.CORRUPT] += 1  # how many more there were, nobody can tell
            _log.error("the spool was damaged: %d items saved, the file is kept beside it", opened.salvaged)
        row = self._connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'items'").fetchone()
        self.last = row[0] if row else 0
        self._count()
        load_ballast(self._folder)

    def close(self) -> None:
        """Close the file, where it was opened."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def put(self, frames: list[tuple[str, float, bytes]], origin: Origin | None, facts: Mapping[str, str]) -> list[Put]:
        """Put frames in, in one transaction; where the disk is full, make room as the policy has it."""
        incoming = sum(len(payload) for _, _, payload in frames)
        needed = _LOG_BYTES + _MARGIN_BYTES + 2 * incoming
        if self._room() < needed:
            # before SQLite meets the end of the disk: a log that cannot be folded into its file would only grow
            if self.limits.policy is not Policy.DROP_NEWEST:
                self._make_room(needed + _MARGIN_BYTES - self._room(), Reason.DISK)
            if self._room() < needed:
                self.dropped[Reason.DISK] += len(frames)
                return [Put(None, dropped=Reason.DISK)] * len(frames)
        excess = self.size_bytes + incoming - self.limits.max_bytes
        if excess > 0 and self.limits.policy is not Policy.DROP_NEWEST and incoming <= self.limits.max_bytes:
            self._make_room(excess, Reason.BYTES)
        return self._writing(lambda: self._insert(frames, origin, facts))

    def _room(self) -> int:
        """Return bytes that a frame and the log may take: free on the disk, free within the file, and the log's own."""
        (pages,) = self._connection.execute("PRAGMA freelist_count").fetchone()
        (length,) = self._connection.execute("PRAGMA page_count").fetchone()
        size = file_bytes(self._folder)
        owed = max(0, PAGE_BYTES * int(length) - size.database)  # the file grows by that when the log is folded into it
        free = int(shutil.disk_usage(self._folder).free)
        return free + PAGE_BYTES * int(pages) + min(_LOG_BYTES, size.log) - owed

    def _writing(self, work: Callable[[], Result]) -> Result:
        """Run ``work``; where others have filled the disk to its last byte, once more with the ballast gone."""
        try:
            return work()
        except sqlite3.OperationalError as err:
            if "full" not in str(err):
                raise
        self._count()
        drop_ballast(self._folder)
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return work()

    def _insert(
        self, frames: list[tuple[str, float, bytes]], origin: Origin | None, facts: Mapping[str, str]
    ) -> list[Put]:
        now = self._steady.now()
        puts: list[Put] = []
        size = 0
        with transaction(self._connection):
            if origin is not None:
                seen = self.received(origin.session)
                if not seen.add(origin.sequence):
                    return [Put(None, repeated=True)]
                seen.settle(min(origin.settled, origin.sequence - 1))
            for sender, captured_at, payload in frames:
                stored = self._seal.close(payload, sender.encode()) if self._seal else payload
                if self.size_bytes + size + len(stored) > self.limits.max_bytes:
                    puts.append(Put(None, dropped=Reason.BYTES))
                    continue
                cursor = self._connection.execute(
                    "INSERT INTO items (sender, captured_at, stored_at, size, checksum, payload) "
                    "VALUES (?, ?, ?, ?, ?, ?)",
                    (sender, captured_at, now, len(stored), checksum(stored), stored),
                )
                puts.append(Put(cursor.lastrowid))
                size += len(stored)
            if origin is not None:
                # in the same transaction: a frame is either in the spool and known, or neither
                self._remember_received(origin.session, seen, now)
            for key, value in facts.items():
                self._set_fact(key, value)
        refused = sum(put.sequence is None for put in puts)
        self.dropped[Reason.BYTES] += refused
        self.items += len(puts) - refused
        self.size_bytes += size
        self.last = max([self.last, *(put.sequence for put in puts if put.sequence is not None)])
        self._find_oldest()
        return puts

    def fetch(self, after: int, upto: int, max_items: int, max_bytes: int) -> list[Item]:
        """Return the next items; see ``Spool.fetch``."""
        found: list[Item] = []
        damaged: list[SequenceRange] = []
        size = 0
        rows = self._connection.execute(
            "SELECT sequence, sender, captured_at, checksum, payload FROM items "
            "WHERE sequence > ? AND sequence <= ? ORDER BY sequence",
            (after, upto),
        )
        for sequence, sender, captured_at, expected, stored in rows:
            if found and (len(found) >= max_items or size + len(stored) > max_bytes):
                break
            if checksum(stored) != expected:
                damaged.append(SequenceRange(sequence, sequence))
                continue
            payload = self._seal.open(stored, sender.encode()) if self._seal else stored
            found.append(Item(sequence, sender, captured_at, payload))
            size += len(stored)
        rows.close()
        if damaged:
            _log.error("items of the spool are damaged and were dropped: %d", len(damaged))
            self.remove(damaged)
            self.dropped[Reason.CORRUPT] += len(damaged)
        return found

    def remove(self, ranges: Iterable[SequenceRange]) -> int:
        """Remove items; return how many there were."""
        found: list[Victim] = []
        for first, last in ranges:
            rows = self._connection.execute(
                "SELECT sequence, size FROM items WHERE sequence BETWEEN ? AND ?", (first, last)
            )
            found += (Victim(*row) for row in rows)
        self._delete(found)
        return len(found)

    def _delete(self, found: list[Victim]) -> None:
        """Delete items that are there, a few at a time: one large deletion would outgrow the log."""
        for begin in range(0, len(found), _DELETED_AT_ONCE):
            some = found[begin : begin + _DELETED_AT_ONCE]

            def write(some: list[Victim] = some) -> None:
                with transaction(self._connection):
                    self._connection.executemany(
                        "DELETE FROM items WHERE sequence = ?", [(victim.sequence,) for victim in some]
                    )

            self._writing(write)
            self.items -= len(some)
            self.size_bytes -= sum(victim.size for victim in some)
        if found:
            self._find_oldest()

    def reject(self, sequence: int, dead_letters: DeadLetters, *, code: str, details: str) -> None:
        """Move an item to the dead letters."""
        found = self.fetch(sequence - 1, sequence, 1, 0)
        if not found:
            return
        try:
            dead_letters.add(sequence, found[0].sender, found[0].payload, code=code, details=details)
        except OSError as err:
            _log.error("a refused frame could not be kept: %s", err)
        self.remove([SequenceRange(sequence, sequence)])
        self.dropped[Reason.REJECTED] += 1

    def received(self, session: str) -> SequenceSet:
        """Return which frames of a sender were put in."""
        row = self._connection.execute("SELECT sequences FROM received WHERE session = ?", (session,)).fetchone()
        return SequenceSet.loads(row[0]) if row else SequenceSet()

    def skip(self, origin: Origin) -> None:
        """Remember a sender's frame without having it."""
        with transaction(self._connection):
            seen = self.received(origin.session)
            seen.add(origin.sequence)
            self._remember_received(origin.session, seen, self._steady.now())

    def write_fact(self, key: str, value: str) -> None:
        """Keep a text under a name."""
        with transaction(self._connection):
            self._set_fact(key, value)

    def _set_fact(self, key: str, value: str) -> None:
        self._connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (f"fact:{key}", value))

    def read_fact(self, key: str) -> str | None:
        """Return the text of a name; None where there is none."""
        row = self._connection.execute("SELECT value FROM meta WHERE key = ?", (f"fact:{key}",)).fetchone()
        return row[0] if row else None

    def enforce(self) -> None:
        """Keep the limits, and give the disk back what is free."""
        limits = self.limits
        if self.oldest_age_seconds() > limits.max_age_seconds:
            self._drop(aged(self._connection, self._steady.now() - limits.max_age_seconds), Reason.AGE)
        if self.size_bytes > limits.max_bytes:
            self._make_room(self.size_bytes - limits.max_bytes, Reason.BYTES)
        self._give_back(_PAGES_A_TICK)
        missing = limits.min_free_bytes - shutil.disk_usage(self._folder).free
        if missing <= 0:
            load_ballast(self._folder)
        elif self.items:
            self._make_room(missing, Reason.DISK)
            self._give_back(_ALL_PAGES)
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def _give_back(self, most: int) -> None:
        """Shorten the file by what is free within it, by at most so many pages."""
        (free,) = self._connection.execute("PRAGMA freelist_count").fetchone()
        pages = min(int(free), most)
        while pages > 0:  # in steps that the log holds; a script, as a single statement would free a single page
            self._connection.executescript(f"PRAGMA incremental_vacuum({_PAGES_AT_ONCE})")
            pages -= _PAGES_AT_ONCE

    def _make_room(self, needed: int, reason: Reason) -> None:
        """Drop items as the policy has it until their payloads come to ``needed`` bytes, or nothing more may go."""
        while needed > 0 and (found := victims(self._connection, needed, self.limits.policy, self.claimed)):
            self._drop(found, reason)
            needed -= sum(victim.size for victim in found)

    def _drop(self, found: list[Victim], reason: Reason) -> None:
        self._delete(found)
        self.dropped[reason] += len(found)

    def _find_oldest(self) -> None:
        row = self._connection.execute("SELECT sequence, stored_at FROM items ORDER BY sequence LIMIT 1").fetchone()
        self._lowest, self._oldest = row or (0, None)

    def _count(self) -> None:
        row = self._connection.execute("SELECT COUNT(*), COALESCE(SUM(size), 0) FROM items").fetchone()
        self.items, self.size_bytes = row
        self._find_oldest()

    def _remember_received(self, session: str, seen: SequenceSet, now: float) -> None:
        self._connection.execute("INSERT OR REPLACE INTO received VALUES (?, ?, ?)", (session, seen.dumps(), now))
        self._connection.execute(
            "DELETE FROM received WHERE session IN "
            "(SELECT session FROM received ORDER BY touched_at DESC LIMIT -1 OFFSET ?)",
            (_SESSIONS_KEPT,),
        )

    def _check_key(self) -> None:
        """Compare the key with the one that the spool was begun with."""
        row = self._connection.execute("SELECT value FROM meta WHERE key = 'seal'").fetchone()
        if row is None:
            proof = self._seal.close(b"manypath", b"seal").hex() if self._seal else ""
            self._connection.execute("INSERT INTO meta VALUES ('seal', ?)", (proof,))
        elif self._seal is None and row[0]:
            raise SpoolKeyError(f"the spool {self._folder} is encrypted; give its key")
        elif self._seal is not None and not row[0]:
            raise SpoolKeyError(f"the spool {self._folder} is not encrypted; give a new folder, or no key")
        elif self._seal is not None:
            self._seal.open(bytes.fromhex(row[0]), b"seal")
