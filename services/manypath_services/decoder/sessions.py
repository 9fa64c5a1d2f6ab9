"""Which frames of each session the decoder has delivered: in memory, or in a file that outlives it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from manypath_camera.errors import SequenceError
from manypath_camera.sequences import SequenceSet
from manypath_services.common.entry import StartError
from manypath_services.common.errors import MessageError

_MOST_SESSIONS = 4096  # the one silent for longest is forgotten first; its sender's spool still knows what it deleted


class Sessions:
    """What was delivered, by session.

    Without a file, a decoder that restarts knows only what its result sinks can tell it, and what the sender says it
    has deleted: frames whose acknowledgement was on its way are delivered a second time. With a file they are not.

    Args:
        file: of SQLite; None is memory alone.

    Raises:
        StartError: the file cannot be used.
    """

    def __init__(self, file: Path | None) -> None:
        self._sets: OrderedDict[str, SequenceSet] = OrderedDict()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sessions")  # one connection, one thread
        self._connection: sqlite3.Connection | None = None
        if file is not None:
            try:
                self._connection = self._thread.submit(_open, file).result()
                self._sets.update(self._thread.submit(_read, self._connection).result())
            except (sqlite3.Error, OSError, SequenceError) as err:
                self._thread.shutdown()
                raise StartError(f"cannot use the file of sessions {file}: {err}") from err

    async def received(self, session: str, settled: int) -> SequenceSet:
        """Return a copy of what was delivered of a session."""
        known = self._set(session)
        _settle(known, settled)
        return SequenceSet(known.contiguous, known.above)

    def has(self, session: str, sequence: int) -> bool:
        """Return whether a frame was delivered."""
        return session in self._sets and sequence in self._sets[session]

    async def add(self, session: str, sequence: int, settled: int) -> None:
        """Remember that a frame was delivered; when this returns, it is remembered for good."""
        known = self._set(session)
        _settle(known, settled)
        try:
            known.add(sequence)
        except SequenceError as err:
            raise MessageError(str(err)) from err
        connection = self._connection
        if connection is not None:
            text = known.dumps()
            await asyncio.get_running_loop().run_in_executor(self._thread, _write, connection, session, text)

    def recover(self, session: str, sequence: int) -> None:
        """Remember what a result sink has although it was not written here before the process ended."""
        self._set(session).add(sequence)

    async def close(self) -> None:
        """Close the file."""
        if self._connection is not None:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._connection.close)
            self._connection = None
        self._thread.shutdown()

    def _set(self, session: str) -> SequenceSet:
        known = self._sets.setdefault(session, SequenceSet())
        self._sets.move_to_end(session)
        while len(self._sets) > _MOST_SESSIONS:
            self._sets.popitem(last=False)
        return known


def _settle(known: SequenceSet, upto: int) -> None:
    try:
        known.settle(upto)
    except SequenceError as err:
        raise MessageError(str(err)) from err


def _open(file: Path) -> sqlite3.Connection:
    file.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(
        "CREATE TABLE IF NOT EXISTS sessions (session TEXT PRIMARY KEY, sequences TEXT NOT NULL, "
        "touched_at INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID"
    )
    return connection


def _read(connection: sqlite3.Connection) -> list[tuple[str, SequenceSet]]:
    rows = connection.execute("SELECT session, sequences FROM sessions ORDER BY touched_at").fetchall()
    return [(session, SequenceSet.loads(text)) for session, text in rows]


def _write(connection: sqlite3.Connection, session: str, text: str) -> None:
    connection.execute("INSERT OR REPLACE INTO sessions VALUES (?, ?, unixepoch())", (session, text))
    connection.execute(
        "DELETE FROM sessions WHERE session IN "
        "(SELECT session FROM sessions ORDER BY touched_at DESC LIMIT -1 OFFSET ?)",
        (_MOST_SESSIONS,),
    )
