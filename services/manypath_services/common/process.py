"""What a service process sets before it imports anything that computes."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import resource
import sys
import threading

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # malloc.h


def prepare(threads: int) -> None:
    """Set threads and memory for a server that shares its cores with others.

    OpenMP's threads spin at barriers by default: beside one busy process a network was measured 80 times
    slower. glibc gives every activation back to the kernel and page-faults it in again, which costs a fifth
    to a third; on another libc that part is left out. One arena: of several, each would keep what a burst of
    large messages needed.
    """
    for name in ("PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir"):  # another service's, that shares one registry
        os.environ.pop(name, None)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ["OMP_NUM_THREADS"] = str(threads)
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 1)
        mallopt(_M_MMAP_THRESHOLD, 2**30)
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # each connection is a descriptor, and the usual limit is 1024
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def settle() -> None:
    """Take what is loaded out of the garbage collector's rounds; call it once, when everything is loaded.

    A full round over torch's modules holds the interpreter for a tenth of a second, and with it every call and every
    health check. It then goes over what was made since.
    """
    gc.collect()
    gc.freeze()


def leave(code: int) -> int:
    """End this process now: everything is closed, and taking apart the interpreter under torch takes seconds."""
    sys.stdout.flush()
    os._exit(code)


def leave_within(seconds: float) -> None:
    """End this process after ``seconds`` whatever it then does, with exit code 0: it was asked to.

    A thread deep inside a library cannot be stopped, and would otherwise keep the process until its work is done.
    """
    timer = threading.Timer(seconds, os._exit, (0,))
    timer.daemon = True
    timer.start()
