"""Asks the service of this container whether it is ready: ``healthcheck.py METRICS_PORT``; exit code 0 if it is.

By HTTP, on the port that is always there for those who watch: with certificates required, a health check would need
one of its own.
"""

from __future__ import annotations

import sys
import urllib.error
import urllib.request

TIMEOUT_SECONDS = 3.0


def ready(port: int) -> bool:
    """Return whether the service says so; False also if nothing answers in time."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # loopback never goes through a proxy
    try:
        with opener.open(f"http://127.0.0.1:{port}/ready", timeout=TIMEOUT_SECONDS) as response:
            return bool(response.status == 200)
    except (OSError, urllib.error.URLError) as err:
        print(err, file=sys.stderr)
        return False


if __name__ == "__main__":
    sys.exit(0 if ready(int(sys.argv[1])) else 1)
