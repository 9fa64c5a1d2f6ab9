"""Asks the service of this container whether it is ready: ``healthcheck.py METRICS_PORT``; exit code 0 if it is.

By HTTP, on the port that is always there for those who watch: with certificates required, a health check would need
one of its own.

Docker marks a container that is not healthy and leaves it as it is. So a service that was ready once and then does not
even live, several times in a row, is ended from here, and the container's restart policy begins it anew. A service
that only is not ready (it drains, or has no uplink) is left alone.
"""

from __future__ import annotations

import os
import signal
import sys
import urllib.error
import urllib.request
from pathlib import Path

TIMEOUT_SECONDS = 3.0
MISSES = 4  # in a row; with the images' interval of 15 s, about a minute
STATE = Path("/tmp/manypath-health")  # noqa: S108  (the container's own; holds how often it did not live)


def says_yes(port: int, page: str) -> bool:
    """Return whether the service answers yes on a page; False also if nothing answers in time."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # loopback never goes through a proxy
    try:
        with opener.open(f"http://127.0.0.1:{port}/{page}", timeout=TIMEOUT_SECONDS) as response:
            return bool(response.status == 200)
    except (OSError, urllib.error.URLError) as err:
        print(f"{page}: {err}", file=sys.stderr)
        return False


def misses_after(port: int, state: Path) -> int:
    """Count one more look at a service that is not ready; return how often in a row it did not live."""
    if not state.exists():  # it has not been ready yet: starting may take its time
        return 0
    misses = 0 if says_yes(port, "live") else int(state.read_text() or 0) + 1
    state.write_text(str(misses))
    return misses


def end_service(processes: Path = Path("/proc")) -> None:
    """Kill the service: the child of the container's first process, which cannot be killed from inside."""
    for folder in processes.iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            try:
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue  # it has ended meanwhile
            if parent == 1:
                os.kill(int(folder.name), signal.SIGKILL)


def main(port: int) -> int:
    """Return the exit code."""
    if says_yes(port, "ready"):
        STATE.write_text("0")
        return 0
    if misses_after(port, STATE) >= MISSES:
        print("it does not live any more and is ended, to be begun anew", file=sys.stderr)
        STATE.unlink()
        end_service()
    return 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
