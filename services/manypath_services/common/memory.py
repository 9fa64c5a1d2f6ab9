"""What the process holds: allocated bytes, and giving back what was freed.

The services keep freed activations instead of returning them (``process.prepare``). What a burst of large requests left
behind is given back here, when the burst is over.
"""

from __future__ import annotations

import ctypes
import threading
import time
from pathlib import Path

_FIELDS = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"
_STATM = Path("/proc/self/statm")
_PAGE = 4096
_PAUSE_SECONDS = 2.0  # between two times of giving back: it takes tens of milliseconds


class _Mallinfo2(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in _FIELDS.split()]


_libc = ctypes.CDLL(None)
_mallinfo2 = getattr(_libc, "mallinfo2", None)
if _mallinfo2 is not None:
    _mallinfo2.restype = _Mallinfo2
_malloc_trim = getattr(_libc, "malloc_trim", None)
_lock = threading.Lock()
_given_back = 0.0


def allocated_bytes() -> int:
    """Return the bytes that are allocated now, freed ones not counted; resident ones on another libc than glibc."""
    if _mallinfo2 is None:
        return resident_bytes()
    info = _mallinfo2()
    return int(info.uordblks + info.hblkhd)


def resident_bytes() -> int:
    """Return the memory that the kernel counts for this process; 0 where it does not tell."""
    try:
        return int(_STATM.read_text(encoding="ascii").split()[1]) * _PAGE
    except (OSError, ValueError):
        return 0


def give_back() -> None:
    """Return freed memory to the kernel, at most every two seconds; call it from a thread."""
    global _given_back  # noqa: PLW0603  (one allocator a process)
    with _lock:
        if _malloc_trim is None or time.monotonic() < _given_back + _PAUSE_SECONDS:
            return
        _given_back = time.monotonic()
        _malloc_trim(0)
