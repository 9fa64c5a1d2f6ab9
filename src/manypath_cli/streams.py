"""Standard streams as a command finds them: closed, full, or of an encoding that cannot say everything."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF})


class _ClosedOutput(io.TextIOBase):
    """A standard output that was closed before the command began: printing to it is an error, not nothing."""

    def write(self, _text: str) -> int:
        raise OSError(errno.EBADF, "it is closed")


def prepare() -> None:
    """Give a closed standard stream its number back, and let every name be printed.

    Otherwise the next file that is opened would get the number, and whatever a library prints.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number, which is this one
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123  (stays open)
    if sys.stdout is None:
        sys.stdout = _ClosedOutput()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def is_full(error: OSError) -> bool:
    """Return whether an error says that nothing more can be written, to stdout or to a file that is open."""
    return error.errno in _FULL


def abandon_stdout() -> None:
    """Send to nowhere what is left to print: Python would try again, and complain, at exit."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
