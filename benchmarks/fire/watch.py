"""What is looked at from outside: health's latency, memory and processor time of a process, its metrics.

``python -m benchmarks.fire.watch TARGET`` asks for health until its standard input closes, and prints what it saw: in a
process of its own, so that an attacker's work beside it does not count as the server's.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client.parser import text_string_to_metric_families

_EVERY_SECONDS = 0.05
_TICKS = os.sysconf("SC_CLK_TCK")


class Health(NamedTuple):
    """What a prober saw.

    Attributes:
        asked: times.
        refused: of these.
        p99_ms: of the answers.
        longest_ms: of the answers.
    """

    asked: int = 0
    refused: int = 0
    p99_ms: float = 0.0
    longest_ms: float = 0.0

    def __str__(self) -> str:
        return (
            f"health p99 {self.p99_ms:.0f} ms, longest {self.longest_ms:.0f} ms, {self.refused} of {self.asked} refused"
        )


@contextmanager
def health_of(target: str) -> Iterator[list[Health]]:
    """Probe a server's health for as long as the block lasts; the list then has one element."""
    seen: list[Health] = []
    command = [sys.executable, "-m", "benchmarks.fire.watch", target]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as prober:
        assert prober.stdout is not None
        prober.stdout.readline()  # it has begun
        try:
            yield seen
        finally:
            told, _ = prober.communicate()
            seen.append(Health(*json.loads(told)))


def memory_mb(pid: int) -> float:
    """Return a process's resident set, in MiB."""
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * 4096 / 2**20


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def threads(pid: int) -> int:
    """Return how many threads a process has."""
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


@contextmanager
def peak_memory(pid: int) -> Iterator[list[float]]:
    """Sample a process's resident set while the block lasts; the list then has the largest, in MiB."""
    peak = [memory_mb(pid)]
    over = threading.Event()

    def sample() -> None:
        while not over.wait(0.01):
            peak[0] = max(peak[0], memory_mb(pid))

    sampler = threading.Thread(target=sample, daemon=True)
    sampler.start()
    try:
        yield peak
    finally:
        over.set()
        sampler.join()


def metric(url: str, name: str, **labels: str) -> float:
    """Return the sum of a metric's samples with these labels."""
    with urllib.request.urlopen(url, timeout=20) as answer:  # noqa: S310  (our own address)
        families = list(text_string_to_metric_families(answer.read().decode()))
    return sum(
        sample.value
        for family in families
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def wait_for(url: str, name: str, wanted: float, *, above: bool = False, timeout: float = 120.0) -> float:
    """Ask for a metric until it has a value, or one above it, and return the seconds that took."""
    started = time.monotonic()
    while time.monotonic() - started < timeout:
        value = metric(url, name)
        if value > wanted if above else value == wanted:
            return time.monotonic() - started
        time.sleep(0.02)
    return timeout


def _probe(target: str) -> None:
    over = threading.Event()

    def until_closed() -> None:
        sys.stdin.read()
        over.set()

    threading.Thread(target=until_closed, daemon=True).start()
    took: list[float] = []
    refused = 0
    with grpc.insecure_channel(target) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        stub.Check(health_pb2.HealthCheckRequest(), timeout=30)
        print("begun", flush=True)
        while not over.wait(_EVERY_SECONDS):
            started = time.perf_counter()
            try:
                answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=10)
                refused += answer.status != health_pb2.HealthCheckResponse.SERVING
            except grpc.RpcError:
                refused += 1
            took.append(1000 * (time.perf_counter() - started))
    p99 = statistics.quantiles(took, n=100)[98] if len(took) > 1 else 0.0
    print(json.dumps([len(took), refused, p99, max(took, default=0.0)]))


if __name__ == "__main__":
    _probe(sys.argv[1])
