"""Runs a service that must not outlive whoever started it: ``python -m manypath_cli.service_child SERVICE``.

Standard input is a pipe whose other end only the parent holds. The kernel closes it when the parent ends, however it
ends, and the service then gets the signal that it would have been sent. Linux's parent-death signal would do the same
for the thread that started the process, not for the process; and only there.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading


def end_with_parent() -> None:
    """Send this process SIGTERM when standard input closes; returns at once."""

    def watch() -> None:
        while os.read(0, 4096):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent", daemon=True).start()


if __name__ == "__main__":
    service = sys.argv.pop(1)
    end_with_parent()
    runpy.run_module(f"manypath_services.{service}", run_name="__main__", alter_sys=True)
