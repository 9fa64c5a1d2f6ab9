"""Waiting for what other threads and processes do, with an end."""

import threading
import time


def wait_for(condition, seconds=30.0, every=0.01):
    """Return when ``condition()`` is true, with what it returned."""
    pause = threading.Event()
    until = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < until, "it did not come to pass"
        pause.wait(every)
    return found
