"""How long a service's event loop stands still: ``python -m benchmarks.fire.stalls SERVICE`` runs one and tells.

Each callback's own processor time is taken, so that a busy machine does not count as the service's. What stops the loop
inside of it counts: parsing, the garbage collector, a lock that is waited for by spinning.
"""

from __future__ import annotations

import asyncio
import json
import runpy
import sys
import time
from collections.abc import Sequence
from typing import Any

from manypath_cli.service_child import end_with_parent

MODULE = "benchmarks.fire.stalls"
_WORTH_TELLING = 0.002  # seconds
_NAME = "stall_seconds"


def longest_stall(log: Sequence[str], since: float) -> float:
    """Return the seconds of the longest callback in a service's log since a moment of ``time.monotonic``."""
    told = [json.loads(line) for line in list(log) if _NAME in line]
    return max((one[_NAME] for one in told if one["at"] >= since), default=0.0)


def watch_callbacks() -> None:
    """Tell each long callback of every event loop of this process on standard error, from now on."""
    run = asyncio.events.Handle._run

    def measured(handle: asyncio.events.Handle) -> Any:
        started = time.thread_time()
        try:
            return run(handle)
        finally:
            spent = time.thread_time() - started
            if spent > _WORTH_TELLING:
                print(json.dumps({_NAME: spent, "at": time.monotonic()}), file=sys.stderr, flush=True)

    asyncio.events.Handle._run = measured  # type: ignore[method-assign, assignment]


if __name__ == "__main__":
    _service = sys.argv.pop(1)
    end_with_parent()
    watch_callbacks()
    runpy.run_module(f"manypath_services.{_service}", run_name="__main__", alter_sys=True)
