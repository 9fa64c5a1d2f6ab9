"""Keeps one camera's frames coming, for ever: reconnects, and gives up on readers that hang."""

from __future__ import annotations

import logging
import random
import threading
import time
from enum import StrEnum

from manypath_camera.errors import CameraError
from manypath_camera.frames import NewestFrame
from manypath_camera.sources.source import Source

_log = logging.getLogger(__name__)
_LOOK_SECONDS = 0.25
_MOST_HANGING = 3  # readers left behind in a library that does not return; each holds a thread and a connection


class CameraState(StrEnum):
    """Where a camera stands."""

    CONNECTING = "connecting"
    LIVE = "live"
    WAITING = "waiting"


class _Reader:
    """One attempt: a thread that reads until the source ends or fails."""

    def __init__(self, name: str, source: Source, slot: NewestFrame) -> None:
        self.ended = threading.Event()
        self.frames = 0
        self.last_at = time.monotonic()
        self.error = ""
        self.unforeseen: Exception | None = None
        self._source = source
        self._slot = slot
        self._thread = threading.Thread(target=self._run, name=f"camera-{name}", daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def join(self, seconds: float) -> None:
        self._thread.join(seconds)

    def _run(self) -> None:
        try:
            for frame in self._source.frames(self.ended):
                if self.ended.is_set():  # left behind, and another reader is at work
                    return
                self.frames += 1
                self.last_at = time.monotonic()
                self._slot.put(frame, wait=self._source.lossless, until=self.ended)
        except CameraError as err:
            self.error = str(err)
        except Exception as err:  # noqa: BLE001  (a library's own error must not end a camera for ever)
            self.unforeseen = err
            self.error = f"{type(err).__name__}: {err}"


class Supervisor:
    """Runs a source, and runs it again after every end, error and silence.

    Args:
        name: of the camera.
        source: that is read.
        slot: where frames go.
        silence_seconds: without a frame, after which a reader counts as hanging; None where silence is normal.
        first_backoff_seconds: before the second attempt; each further one waits up to twice as long, without end.
        longest_backoff_seconds: where the doubling ends.

    Attributes:
        state: where it stands.
        reconnects: attempts after the first.
        last_error: why the last reader ended; empty while all is well.
    """

    def __init__(
        self,
        name: str,
        source: Source,
        slot: NewestFrame,
        *,
        silence_seconds: float | None,
        first_backoff_seconds: float = 1.0,
        longest_backoff_seconds: float = 30.0,
    ) -> None:
        self.name = name
        self.state = CameraState.CONNECTING
        self.reconnects = 0
        self.last_error = ""
        self._source = source
        self._slot = slot
        self._silence_seconds = silence_seconds
        self._first_backoff = first_backoff_seconds
        self._longest_backoff = longest_backoff_seconds
        self._stop = threading.Event()
        self._hanging: list[_Reader] = []
        self._thread = threading.Thread(target=self._run, name=f"supervisor-{name}", daemon=True)
        self._thread.start()

    def stop(self, timeout_seconds: float = 5.0) -> None:
        """End; a reader that hangs is left behind."""
        self._stop.set()
        self._thread.join(timeout_seconds)

    def _run(self) -> None:
        backoff = self._first_backoff
        while not self._stop.is_set():
            self._hanging = [reader for reader in self._hanging if reader.running]
            if len(self._hanging) < _MOST_HANGING:
                reader = _Reader(self.name, self._source, self._slot)
                self._watch(reader)
                if reader.frames:
                    backoff = self._first_backoff
            if self._stop.is_set():
                return
            self._become(CameraState.WAITING)
            # between half of it and all: cameras behind one switch do not come back at once
            self._stop.wait(backoff * random.uniform(0.5, 1.0))
            backoff = min(2 * backoff, self._longest_backoff)
            self.reconnects += 1

    def _watch(self, reader: _Reader) -> None:
        """Return when the reader has ended, or when it hangs."""
        while reader.running and not self._stop.wait(_LOOK_SECONDS):
            if reader.frames:
                self.last_error = ""
                self._become(CameraState.LIVE)
            silent = time.monotonic() - reader.last_at
            if self._silence_seconds is not None and silent > self._silence_seconds:
                reader.error = f"no frame for {silent:.0f} s"
                break
        reader.ended.set()
        reader.join(2.0 if self._stop.is_set() else 0.5)
        if reader.running:
            self._hanging.append(reader)
        if not self._stop.is_set():
            error = reader.error or "the source ended"
            if error != self.last_error:  # one line a change, not one an attempt
                story = reader.unforeseen
                _log.warning("camera %s: %s; it is tried again for ever", self.name, error, exc_info=story)
            self.last_error = error

    def _become(self, state: CameraState) -> None:
        if state is not self.state:
            self.state = state
            if state is CameraState.LIVE:
                _log.info("camera %s is live", self.name)
