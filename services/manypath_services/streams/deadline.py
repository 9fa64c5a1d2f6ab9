"""A time limit of a single frame, where calls have theirs from the caller."""

from __future__ import annotations

import time


class FrameDeadline:
    """Stands in for a call's context: a frame of a stream has a time limit of its own.

    Args:
        seconds: from now.
    """

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds

    def time_remaining(self) -> float:
        """Return seconds until the limit."""
        return self._until - time.monotonic()
