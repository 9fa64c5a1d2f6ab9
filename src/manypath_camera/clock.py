"""Time as a spool counts it, and whether the machine's own can be believed."""

from __future__ import annotations

import ctypes
import time
from typing import Protocol

_TIME_ERROR = 5  # adjtimex: the clock is not synchronised


class Clock(Protocol):
    """Where the time comes from; a test has its own."""

    def wall(self) -> float:
        """Return seconds since 1970."""

    def monotonic(self) -> float:
        """Return seconds that never jump."""


class SystemClock:
    """The machine's clocks."""

    def wall(self) -> float:
        """Return seconds since 1970."""
        return time.time()

    def monotonic(self) -> float:
        """Return seconds that never jump."""
        return time.monotonic()


class SteadyClock:
    """Seconds since 1970 that neither jump nor run backwards while the process lives.

    A camera without a battery for its clock begins in 1970 and leaps when it first hears of the time. The ages of what
    is kept must not leap along: a week's limit would empty the spool.

    Args:
        clock: where the time comes from.
        not_before: a time that has certainly passed: when the newest item was put in.
    """

    def __init__(self, clock: Clock, not_before: float = 0.0) -> None:
        self._clock = clock
        self._offset = max(clock.wall(), not_before) - clock.monotonic()

    def now(self) -> float:
        """Return the time."""
        return self._clock.monotonic() + self._offset


class _Timex(ctypes.Structure):
    # the whole struct of linux/timex.h is below 256 bytes; only the first field is written, and nothing is read
    _fields_ = (("modes", ctypes.c_uint), ("rest", ctypes.c_byte * 508))


def clock_is_synchronised() -> bool:
    """Return whether the kernel says that its clock follows a time server; False where it does not say."""
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        status = int(libc.adjtimex(ctypes.byref(_Timex())))
    except (OSError, AttributeError):
        return False
    return 0 <= status < _TIME_ERROR
