"""The spool's file: its tables, its lock, its ballast, and what is done where it is damaged."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import google_crc32c

from manypath_camera.errors import SpoolError, SpoolLockedError

DATABASE = "spool.sqlite"
_LOCK = "spool.lock"
_BALLAST = "spool.ballast"
# Deleting needs room for the write-ahead log: on a full disk the ballast goes first.
PAGE_BYTES = 4096
LOG_PAGES = 500  # of the write-ahead log, before it is folded into the file
BALLAST_BYTES = 2 * 2**20
# A damaged file may have lost its newest items, and with them the numbers that must never come again.
_NUMBERS_LEFT_OUT = 1_000_000

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS items (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    sender TEXT NOT NULL,
    captured_at REAL NOT NULL,
    stored_at REAL NOT NULL,
    size INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    payload BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS received (
    session TEXT PRIMARY KEY,
    sequences TEXT NOT NULL,
    touched_at REAL NOT NULL
) WITHOUT ROWID;
"""
_COLUMNS = "sequence, sender, captured_at, stored_at, size, checksum, payload"


class Opened(NamedTuple):
    """A spool's file, open.

    Attributes:
        connection: the only one there is; it belongs to the thread that opened it.
        salvaged: items that were saved from a damaged file; None where it was whole.
    """

    connection: sqlite3.Connection
    salvaged: int | None


class FileBytes(NamedTuple):
    """Bytes on the disk.

    Attributes:
        database: of the file itself.
        log: of its write-ahead log, which is written over again and again.
    """

    database: int
    log: int


class SpoolLock:
    """Holds a folder for one process; SQLite's own locks would let two take turns.

    Args:
        folder: of the spool.

    Raises:
        SpoolLockedError: another process holds it.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / _LOCK
        self._file = path.open("a+")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as err:
            self._file.seek(0)
            owner = self._file.read(20).strip() or "unknown"
            self._file.close()
            raise SpoolLockedError(
                f"the spool {folder} belongs to process {owner}; end that one, or give this one a folder of its own"
            ) from err
        self._file.truncate(0)
        self._file.write(f"{os.getpid()}\n")
        self._file.flush()

    def release(self) -> None:
        """Let another process have the folder."""
        self._file.close()


def checksum(payload: bytes) -> int:
    """Return the CRC-32C of stored bytes."""
    return int(google_crc32c.value(payload))


def open_file(folder: Path) -> Opened:
    """Open the database of a folder, or make it; a damaged one is set aside and its readable items are saved.

    Raises:
        SpoolError: it cannot be opened for another reason.
    """
    path = folder / DATABASE
    try:
        try:
            connection = _connect(path)
            if _is_whole(connection):
                return Opened(connection, None)
            connection.close()
        except sqlite3.DatabaseError as err:
            if isinstance(err, sqlite3.OperationalError):
                raise
        return _salvage(path)
    except (sqlite3.Error, OSError) as err:
        raise SpoolError(f"cannot open the spool {path}: {err}") from err


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Commit what the block did, with the disk's word that it is there; undo it where the block fails."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):  # a full disk has ended the transaction by itself
            connection.execute("ROLLBACK")
        raise


def file_bytes(folder: Path) -> FileBytes:
    """Return how large the database and its write-ahead log are now."""
    path, log = folder / DATABASE, folder / f"{DATABASE}-wal"
    return FileBytes(path.stat().st_size, log.stat().st_size if log.exists() else 0)


def load_ballast(folder: Path) -> None:
    """Write the ballast, as long as there is room for it."""
    path = folder / _BALLAST
    if path.exists() and path.stat().st_size == BALLAST_BYTES:
        return
    try:
        with path.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, BALLAST_BYTES)
    except OSError:
        path.unlink(missing_ok=True)


def drop_ballast(folder: Path) -> bool:
    """Remove the ballast; return whether there was one."""
    path = folder / _BALLAST
    was_there = path.exists()
    path.unlink(missing_ok=True)
    return was_there


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, timeout=5)
    try:
        connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # before the first table, or never
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {LOG_PAGES}")
        connection.execute("PRAGMA journal_size_limit = 1048576")
        connection.executescript(_SCHEMA)
        connection.execute("INSERT OR IGNORE INTO meta VALUES ('session', ?)", (uuid.uuid4().hex,))
    except BaseException:
        connection.close()
        raise
    return connection


def _is_whole(connection: sqlite3.Connection) -> bool:
    (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    return bool(verdict == "ok")


def _salvage(path: Path) -> Opened:
    """Move a damaged file aside and take over what can still be read of it."""
    aside = path.with_name(f"damaged-{int(time.time())}.sqlite")
    for older in path.parent.glob("damaged-*.sqlite*"):  # one is kept for a person to look at
        older.unlink()
    for suffix in ("-wal", "-shm"):
        log = path.with_name(path.name + suffix)
        if log.exists():
            log.rename(aside.with_name(aside.name + suffix))
    path.rename(aside)
    _pad(aside)
    fresh = _connect(path)
    damaged = sqlite3.connect(aside, isolation_level=None)
    try:
        saved = _take_over(damaged, fresh)
    finally:
        damaged.close()
    return Opened(fresh, saved)


def _pad(path: Path) -> None:
    """Give a file that was cut short its length back: SQLite reads nothing of one that is shorter than it says."""
    with path.open("r+b") as file:
        header = file.read(100)
        pages = int.from_bytes(header[28:32])
        if header.startswith(b"SQLite format 3") and PAGE_BYTES * pages > path.stat().st_size:
            file.truncate(min(PAGE_BYTES * pages, 2 * path.stat().st_size))


def _take_over(damaged: sqlite3.Connection, fresh: sqlite3.Connection) -> int:
    saved: dict[int, tuple[object, ...]] = {}
    for order, comparison in (("ASC", ">"), ("DESC", "<")):  # from both ends up to the damage
        with suppress(sqlite3.DatabaseError):
            last = -1 if order == "ASC" else 2**63 - 1
            while True:
                row = damaged.execute(
                    f"SELECT {_COLUMNS} FROM items WHERE sequence {comparison} ? ORDER BY sequence {order} LIMIT 1",  # noqa: S608
                    (last,),
                ).fetchone()
                if row is None or row[0] in saved:
                    break
                last = row[0]
                if checksum(row[6]) == row[5]:
                    saved[last] = row
    with transaction(fresh):
        for sequence in sorted(saved):
            fresh.execute("INSERT INTO items VALUES (?, ?, ?, ?, ?, ?, ?)", saved[sequence])
        with suppress(sqlite3.DatabaseError):
            fresh.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", damaged.execute("SELECT * FROM meta"))
        with suppress(sqlite3.DatabaseError):
            fresh.executemany(
                "INSERT OR REPLACE INTO received VALUES (?, ?, ?)", damaged.execute("SELECT * FROM received")
            )
        highest = max(saved, default=0)
        with suppress(sqlite3.DatabaseError):
            row = damaged.execute("SELECT seq FROM sqlite_sequence WHERE name = 'items'").fetchone()
            highest = max(highest, row[0] if row else 0)
        fresh.execute("DELETE FROM sqlite_sequence WHERE name = 'items'")
        fresh.execute("INSERT INTO sqlite_sequence VALUES ('items', ?)", (highest + _NUMBERS_LEFT_OUT,))
    return len(saved)
