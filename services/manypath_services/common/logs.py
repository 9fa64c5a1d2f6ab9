"""Logs: one JSON object a line, with the request's id; writing them never holds anybody up.

Lines go through a bounded queue to a thread that writes them. Where nobody reads what is written, a full pipe for
example, lines are dropped and counted, and the service goes on.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TextIO

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""Of the call that the current task serves; empty outside of calls."""
noted: ContextVar[dict[str, object]] = ContextVar("noted")
"""What the call's one line of log shall say beside its status: sizes, pixels, seconds in the queue."""

STAGE = "stage"
"""The fact that says where a call was when it ended by an error."""
trace_id: Callable[[], str] = str
"""Returns the name of the current trace; ``tracing`` puts its own here."""

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_STANDARD_ERROR = 2
_LINES = 10_000  # that may wait: some megabytes
_dropped = 0


def note(**facts: object) -> None:
    """Add facts to the log line of the current call; outside of calls nothing happens."""
    facts_so_far: Mapping[str, object] | None = noted.get(None)
    if isinstance(facts_so_far, dict):
        facts_so_far.update(facts)


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Remember that the current call is in this stage, for the line of a call that is cancelled in it."""
    facts = noted.get(None)
    outer = None if facts is None else facts.get(STAGE)
    if facts is not None:
        facts[STAGE] = name
    yield
    if facts is not None:  # an error leaves it: that is where the call ended
        facts[STAGE] = outer


def dropped_lines() -> int:
    """Return how many lines of this process were dropped."""
    return _dropped


class JsonFormatter(logging.Formatter):
    """Writes a record as one line of JSON; what was given as ``extra`` becomes keys of its own."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "service": self._service,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if current := request_id.get():
            line["request_id"] = current
        if trace := trace_id():
            line["trace_id"] = trace
        line.update((key, value) for key, value in vars(record).items() if key not in _STANDARD)
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


class PatientHandler(logging.Handler):
    """Puts lines into a queue; a thread of its own writes them.

    Args:
        stream: where to; None is the process's standard error, written without Python's locks, which a thread that
            hangs in a full pipe would never give back.
        lines: that may wait.
    """

    def __init__(self, stream: TextIO | None = None, *, lines: int = _LINES) -> None:
        super().__init__()
        self._stream = stream
        self._queue: queue.Queue[str] = queue.Queue(lines)
        self._thread = threading.Thread(target=self._write_all, name="logs", daemon=True)
        self._thread.start()

    def createLock(self) -> None:  # noqa: N802  (logging names it so)
        """Have no lock: the queue has one, and nobody shall wait for a writer."""
        self.lock = None

    def emit(self, record: logging.LogRecord) -> None:
        """Put a record's line into the queue, or drop it."""
        global _dropped  # noqa: PLW0603  (one log a process)
        try:
            self._queue.put_nowait(self.format(record))
        except queue.Full:
            _dropped += 1
        except Exception:  # noqa: BLE001  (logging must not end what it tells of)
            _dropped += 1

    def drain(self, timeout_seconds: float) -> None:
        """Return when everything is written, or the time is over."""
        written = self._queue.all_tasks_done
        with written:
            written.wait_for(lambda: not self._queue.unfinished_tasks, timeout_seconds)

    def _write_all(self) -> None:
        while True:
            line = self._queue.get()
            try:
                self._write(f"{line}\n")
            except (OSError, ValueError):  # nobody there, disk full, stream closed: the service goes on
                global _dropped  # noqa: PLW0603
                _dropped += 1
            finally:
                self._queue.task_done()

    def _write(self, text: str) -> None:
        if self._stream is not None:
            self._stream.write(text)
            self._stream.flush()
            return
        left = memoryview(text.encode(errors="backslashreplace"))
        while left:
            left = left[os.write(_STANDARD_ERROR, left) :]


def configure(service: str, level: str = "INFO", stream: TextIO | None = None) -> PatientHandler:
    """Send every log of this process to ``stream``, standard error by default; return what writes it."""
    handler = PatientHandler(stream)
    handler.setFormatter(JsonFormatter(service))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    return handler
