"""One model's latencies and memory, in a process of its own: ``python -m manypath_lab.profile.worker``.

A process that has seen nothing else tells what an operator of a service would see: interpreter, libraries, weights
and activations together. It reads a ``Task`` as JSON from its standard input and writes a ``Measured`` to its output.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np

from manypath_lab.machine import thread_environment

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class Task(NamedTuple):
    """What to measure.

    Attributes:
        model: name of a subject.
        height: of the picture of noise, pixels.
        width: the same.
        runs: of which the best counts.
        threads: to compute with.
        device: a torch device.
        dtype: of the transforms, ``float32`` or ``bfloat16``.
    """

    model: str
    height: int
    width: int
    runs: int
    threads: int
    device: str
    dtype: str


class Measured(NamedTuple):
    """What was measured.

    Attributes:
        milliseconds: per stage, the best of the runs; ``encode`` and ``decode`` are the whole.
        megabytes: 10**6 bytes of peak memory of ``load``, ``encode`` and ``decode``: the process' resident set, on a
            GPU what was allocated there. Empty where the system does not tell.
    """

    milliseconds: dict[str, float]
    megabytes: dict[str, float]


def measure(task: Task) -> Measured:
    """Measure in a fresh process.

    Raises:
        RuntimeError: it failed; the message ends with the last line it said.
    """
    done = subprocess.run(
        [sys.executable, "-m", "manypath_lab.profile.worker"],
        env=thread_environment(task.threads),
        input=json.dumps(task._asdict()),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or [f"its process ended with {done.returncode}"]
        raise RuntimeError(f"{task.model} was not measured: {last[0]}")
    return Measured(**json.loads(done.stdout.splitlines()[-1]))


def _peak(device: str) -> float | None:
    """Return the peak since the last reset and begin anew."""
    if device != "cpu":
        import torch

        highest = torch.cuda.max_memory_allocated() / 1e6
        torch.cuda.reset_peak_memory_stats()
        return highest
    try:
        line = next(line for line in _STATUS.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        return None
    with contextlib.suppress(OSError):
        _RESET.write_text("5", encoding="ascii")
    return int(line.split()[1]) * 1024 / 1e6


def work(task: Task) -> Measured:
    """Measure in this process."""
    import torch

    from manypath_lab.profile.subject import make_subject

    torch.set_num_threads(task.threads)
    subject = make_subject(task.model, task.device, task.dtype)
    image = np.random.default_rng(0).integers(0, 256, (task.height, task.width, 3), dtype=np.uint8)
    best: dict[str, float] = {}
    peaks: dict[str, float | None] = {"load": _peak(task.device)}

    def keep(direction: str, seconds: dict[str, float], *, whole: bool = True) -> None:
        named = {f"{direction}: {stage}": spent for stage, spent in seconds.items()}
        if whole:
            named[direction] = sum(seconds.values())
        for name, spent in named.items():
            best[name] = min(best.get(name, float("inf")), 1000.0 * spent)

    for run in range(task.runs):
        keep("encode", subject.encode(image))
        if not run:
            peaks["encode"] = _peak(task.device)
        keep("decode", subject.decode())
        if not run:
            peaks["decode"] = _peak(task.device)
        keep("decode", subject.decode_paths(), whole=False)
    return Measured(best, {step: peak for step, peak in peaks.items() if peak is not None})


if __name__ == "__main__":
    print(json.dumps(work(Task(**json.load(sys.stdin)))._asdict()))
