"""Frames on disk from the moment they were taken until their receiver has them."""

from __future__ import annotations

import json
import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from manypath_camera.clock import Clock, SystemClock
from manypath_camera.dead_letters import DeadLetters
from manypath_camera.errors import SpoolError
from manypath_camera.retention import Limits, Reason
from manypath_camera.sequences import SequenceRange, SequenceSet
from manypath_camera.spool_file import SpoolLock
from manypath_camera.spool_store import Item, Origin, Put, SpoolStore

__all__ = ["Item", "Origin", "Put", "Spool"]

Result = TypeVar("Result")
_log = logging.getLogger(__name__)


class Spool:
    """A bounded store of frames that survives the end of its process at any step, and the machine's.

    SQLite with a write-ahead log and ``synchronous=FULL``: what ``put`` returned from is on the disk. One thread owns
    the only connection; every method hands its work there and waits, from any thread. Ages and limits are looked at
    every second in that thread, whether or not anything is sent.

    Args:
        folder: of this spool alone; made where it is missing.
        limits: what it may keep.
        key: 32 bytes, for encryption at rest; None is none.
        clock: where the time comes from.
        tick_seconds: between two looks at the limits.

    Attributes:
        folder: as given.
        session: names this spool for ever; receivers tell frames apart by it and the sequence.
        dead_letters: what a receiver refused for good.

    Raises:
        SpoolLockedError: another process owns it.
        SpoolKeyError: it was written with another key, or with none.
        SpoolError: it cannot be opened.
    """

    def __init__(
        self,
        folder: Path,
        *,
        limits: Limits | None = None,
        key: bytes | None = None,
        clock: Clock | None = None,
        tick_seconds: float = 1.0,
    ) -> None:
        self.folder = folder
        self.session = ""
        self.dead_letters = DeadLetters(folder / "dead-letters")
        self._tick_seconds = tick_seconds
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = SpoolLock(folder)
        except OSError as err:
            raise SpoolError(f"cannot use {folder} as a spool: {err}") from err
        self._closed = False
        self._store = SpoolStore(folder, limits or Limits(), key, clock or SystemClock())
        self._thread = threading.Thread(target=self._own, name="spool", daemon=True)
        self._thread.start()
        try:
            self._ask(self._store.open)
        except BaseException:
            self.close()
            raise
        self.session = self._store.session

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    # ------------------------------------------------------------------------------------- what is in it

    @property
    def limits(self) -> Limits:
        """What it may keep."""
        return self._store.limits

    @property
    def dropped(self) -> Mapping[Reason, int]:
        """Frames that left undelivered, by reason, since it was opened."""
        return self._store.dropped

    @property
    def items(self) -> int:
        """Frames in it."""
        return self._store.items

    @property
    def size_bytes(self) -> int:
        """Bytes of their payloads, as stored."""
        return self._store.size_bytes

    @property
    def oldest_age_seconds(self) -> float:
        """Seconds since the oldest was put in; 0 where it is empty."""
        return self._store.oldest_age_seconds()

    @property
    def last_sequence(self) -> int:
        """The highest number ever given."""
        return self._store.last

    @property
    def settled(self) -> int:
        """Every number up to this one has left the spool for good."""
        return self._store.settled

    # ------------------------------------------------------------------------------------------ its work

    def put(
        self,
        sender: str,
        captured_at: float,
        payload: bytes,
        origin: Origin | None = None,
        facts: Mapping[str, Mapping[str, object]] | None = None,
    ) -> Put:
        """Put a frame in; when this returns, it is on the disk.

        Args:
            sender: a camera's name.
            captured_at: seconds since 1970.
            payload: the message.
            origin: what the frame is called where it came from; the same one again is not put in again.
            facts: remembered together with the frame, or not at all; see ``remember``.

        Raises:
            SpoolError: the disk does not take it.
        """
        texts = {key: json.dumps(value) for key, value in (facts or {}).items()}
        return self._ask(lambda: self._store.put([(sender, captured_at, payload)], origin, texts)[0])

    def skip(self, origin: Origin) -> None:
        """Remember that a sender's frame was refused for good: it counts as put in."""
        self._ask(lambda: self._store.skip(origin))

    def put_many(self, frames: Iterable[tuple[str, float, bytes]]) -> list[Put]:
        """Put several frames in at once: one wait for the disk; see ``put``."""
        return self._ask(lambda: self._store.put(list(frames), None, {}))

    def fetch(self, after: int, upto: int, *, max_items: int, max_bytes: int) -> list[Item]:
        """Return the next items, ascending; at least one where there is any.

        Args:
            after: only higher numbers.
            upto: only numbers up to this one.
            max_items: at most so many.
            max_bytes: of payloads, but for the first.
        """
        return self._ask(lambda: self._store.fetch(after, upto, max_items, max_bytes))

    def claim(self, sequences: Iterable[int]) -> None:
        """Say that items are on their way: limits by bytes and disk spare them until they are released."""
        self._store.claimed.update(sequences)

    def release(self, sequences: Iterable[int] | None = None) -> None:
        """Take the word back, of all where none are named."""
        if sequences is None:
            self._store.claimed.clear()
        else:
            self._store.claimed.difference_update(sequences)

    def acknowledge(self, contiguous: int, above: Iterable[SequenceRange] = ()) -> int:
        """Remove what the receiver has; return how many items that were.

        Args:
            contiguous: every number up to it.
            above: ranges beyond.
        """
        ranges = [SequenceRange(0, contiguous), *above]
        return self._ask(lambda: self._store.remove(ranges))

    def reject(self, sequence: int, *, code: str, details: str) -> None:
        """Move an item that the receiver refused for good to the dead letters."""
        self._ask(lambda: self._store.reject(sequence, self.dead_letters, code=code, details=details))

    def received(self, session: str) -> SequenceSet:
        """Return which frames of a sender were put in."""
        return self._ask(lambda: self._store.received(session))

    def remember(self, key: str, value: Mapping[str, object]) -> None:
        """Keep a small fact across restarts: a quota's state."""
        self._ask(lambda: self._store.write_fact(key, json.dumps(value)))

    def recall(self, key: str) -> dict[str, object]:
        """Return what ``remember`` kept; empty where there is nothing."""
        value = json.loads(self._ask(lambda: self._store.read_fact(key)) or "{}")
        return value if isinstance(value, dict) else {}

    def close(self) -> None:
        """Finish what was asked, and let another process have it."""
        if not self._closed:
            self._closed = True
            self._jobs.put(None)
            self._thread.join()
            self._lock.release()

    # --------------------------------------------------------------------------------- the owner's thread

    def _ask(self, work: Callable[[], Result]) -> Result:
        if self._closed:
            raise SpoolError(f"the spool {self.folder} is closed")
        future: Future[Result] = Future()

        def job() -> None:
            try:
                future.set_result(work())
            except BaseException as err:  # noqa: BLE001  (it is raised where it was asked)
                future.set_exception(err)

        self._jobs.put(job)
        try:
            return future.result()
        except (sqlite3.Error, OSError) as err:
            raise SpoolError(f"the spool {self.folder} failed: {err}") from err

    def _own(self) -> None:
        next_tick = time.monotonic() + self._tick_seconds
        while True:
            try:
                job = self._jobs.get(timeout=max(0.0, next_tick - time.monotonic()))
            except queue.Empty:
                next_tick = time.monotonic() + self._tick_seconds
                try:
                    self._store.enforce()
                except (sqlite3.Error, OSError) as err:
                    _log.warning("the spool's limits could not be kept: %s", err)
                continue
            if job is None:
                break
            job()
        self._store.close()
