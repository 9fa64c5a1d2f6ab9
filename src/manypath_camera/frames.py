"""A frame as it comes from a camera, and the one place where it waits."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Captured:
    """A frame of a camera.

    Attributes:
        picture: a whole picture file as the camera gave it, or uint8 [H, W, 3].
        source_seconds: by the camera's own clock, from a start of its own; None where it tells none.
        name: of its file, where it has one.
        captured_at: seconds since 1970, when this machine had it.
        monotonic: seconds of a clock that never jumps.
    """

    picture: bytes | Image
    source_seconds: float | None = None
    name: str = ""
    captured_at: float = field(default_factory=time.time)
    monotonic: float = field(default_factory=time.monotonic)


class NewestFrame:
    """Holds one frame, the newest: who is slow misses frames, and never falls behind.

    Attributes:
        skipped: frames that were replaced before anybody took them.
        arrived: frames that came.
        last_at: when the newest came, by the monotonic clock; None before the first.
    """

    def __init__(self) -> None:
        self.skipped = self.arrived = 0
        self.last_at: float | None = None
        self._frame: Captured | None = None
        self._changed = threading.Condition()

    def put(self, frame: Captured, *, wait: bool = False, until: threading.Event | None = None) -> None:
        """Replace the frame; or wait until it was taken.

        Args:
            frame: the newest.
            wait: for a source whose every frame counts, as a folder's.
            until: ends the waiting; the frame is then left out.
        """
        with self._changed:
            while wait and self._frame is not None:
                self._changed.wait(0.2)
                if until is not None and until.is_set():
                    return
            if self._frame is not None:
                self.skipped += 1
            self._frame = frame
            self.arrived += 1
            self.last_at = frame.monotonic
            self._changed.notify_all()

    def take(self, timeout_seconds: float) -> Captured | None:
        """Return the newest frame, and forget it; None where none came in time."""
        with self._changed:
            if self._frame is None:
                self._changed.wait(timeout_seconds)
            frame, self._frame = self._frame, None
            self._changed.notify_all()
            return frame
