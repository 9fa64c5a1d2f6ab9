"""What a service's log says of its event loop, and that a callback which computes is in it."""

from __future__ import annotations

import subprocess
import sys

from benchmarks.fire.stalls import longest_stall

COMPUTES = """
import asyncio, time
from benchmarks.fire.stalls import watch_callbacks
watch_callbacks()
async def compute():
    until = time.thread_time() + 0.05
    while time.thread_time() < until:
        pass
asyncio.run(compute())
"""


def test_the_longest_since_a_moment_counts() -> None:
    log = [
        '{"message": "serving"}',
        '{"stall_seconds": 0.5, "at": 10.0}',
        '{"stall_seconds": 0.02, "at": 21.0}',
        '{"stall_seconds": 0.03, "at": 22.0}',
    ]
    assert longest_stall(log, 0.0) == 0.5
    assert longest_stall(log, 20.0) == 0.03
    assert longest_stall(log, 30.0) == 0.0


def test_a_callback_that_computes_is_told_with_its_processor_time() -> None:
    run = subprocess.run([sys.executable, "-c", COMPUTES], capture_output=True, text=True, check=True)
    assert longest_stall(run.stderr.splitlines(), 0.0) >= 0.05
