"""Which subjects are timed in which variants, and the run over all of them."""

from __future__ import annotations

import json
import pathlib
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from benchmarks.speed.subjects import CLASSICAL, LEARNED, OURS, Variant
from benchmarks.speed.worker import Direction, Result, Task, from_json
from manypath_lab.machine import thread_environment

ROOT = pathlib.Path(__file__).resolve().parents[2]
WORKER_LIMIT_SECONDS = 1800.0


class Timing(NamedTuple):
    """One subject in one variant.

    Attributes:
        subject: Name of the codec.
        variant: How it computed.
        threads: Threads it had.
        device: ``cpu`` or ``cuda``.
        batch: Pictures per call.
        size: Width x height of the picture, as text.
        encode_ms: Median milliseconds per picture.
        decode_ms: The same for decoding.
        encode_stages_ms: Mean milliseconds per picture and stage, of our own codec.
        decode_stages_ms: The same for decoding.
        samples: Timed encodes behind the median.
        bytes: Size of the stream.
        note: What a reader should know.
    """

    subject: str
    variant: str
    threads: int
    device: str
    batch: int
    size: str
    encode_ms: float
    decode_ms: float
    encode_stages_ms: dict[str, float]
    decode_stages_ms: dict[str, float]
    samples: int
    bytes: int
    note: str


def variants(subject: str, *, bf16: bool) -> list[Variant]:
    """Return the ways in which a subject is tried; its figure is the best of them."""
    if subject in CLASSICAL:
        return [Variant()]
    tried = [Variant("float32")]
    if subject in LEARNED:
        tried.append(Variant("float32", channels_last=True))
    if bf16:
        tried.append(Variant("bfloat16", channels_last=subject in LEARNED))
    return tried


def plan(
    subjects: Sequence[str],
    threads: Sequence[int],
    picture: pathlib.Path,
    *,
    bf16: bool,
    repeats: int,
    budget: float,
) -> list[Task]:
    """Return the tasks of one round on the processor, threads outermost."""
    return [
        Task(subject, v.dtype, v.channels_last, count, "cpu", 1, str(picture), repeats, budget)
        for count in threads
        for subject in subjects
        for v in variants(subject, bf16=bf16)
    ]


def plan_gpu(picture: pathlib.Path, *, repeats: int, budget: float) -> list[Task]:
    """Return the tasks for a CUDA device: our codec on a 1080p picture, one at a time and eight."""
    return [
        Task(subject, dtype, False, 2, "cuda", batch, str(picture), repeats, budget)
        for subject in OURS
        for dtype in ("float32", "bfloat16")
        for batch in (1, 8)
    ]


def run_rounds(
    tasks: Sequence[Task], rounds: int, size: str, advance: Callable[[str], None]
) -> tuple[list[Timing], list[str]]:
    """Run every task ``rounds`` times, in turn, so that a disturbance does not hit one subject alone.

    Args:
        tasks: What to run.
        rounds: How often.
        size: Width x height of the pictures, for the record.
        advance: Called before each run with what comes next.

    Returns:
        One timing per task that worked, and one message per task that failed.
    """
    results: dict[Task, list[Result]] = {}
    failed: dict[Task, str] = {}
    for _ in range(rounds):
        for task in tasks:
            advance(f"{task.subject} {task.dtype} x{task.threads}")
            if task in failed:
                continue
            try:
                results.setdefault(task, []).append(run_worker(task))
            except WorkerError as err:
                failed[task] = f"{task.subject} ({task.dtype}, {task.threads} threads, {task.device}): {err}"
    timings = [summarise(task, results[task], size) for task in tasks if task in results and task not in failed]
    return timings, list(failed.values())


class WorkerError(Exception):
    """A worker process failed; the message ends with its last words."""


def run_worker(task: Task, environment: Mapping[str, str] | None = None) -> Result:
    """Run one task in a process of its own.

    Args:
        task: What to run.
        environment: Of the process; unless given, that of so many threads as the services set it.

    Raises:
        WorkerError: It failed, or took longer than half an hour.
    """
    command = [sys.executable, "-m", "benchmarks.speed.worker", json.dumps(task._asdict())]
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=thread_environment(task.threads) if environment is None else environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=WORKER_LIMIT_SECONDS,
        )
    except subprocess.TimeoutExpired as err:
        raise WorkerError(f"no result within {WORKER_LIMIT_SECONDS:.0f} seconds") from err
    if done.returncode != 0:
        raise WorkerError(done.stderr.strip()[-400:] or f"exit status {done.returncode}")
    return from_json(done.stdout.strip().splitlines()[-1])


def summarise(task: Task, results: Sequence[Result], size: str) -> Timing:
    """Return the medians over all rounds of one task."""
    return Timing(
        task.subject,
        "" if task.subject in CLASSICAL else str(Variant(task.dtype, task.channels_last)),
        task.threads,
        task.device,
        task.batch,
        size,
        _median_ms([result.encode for result in results], task.batch),
        _median_ms([result.decode for result in results], task.batch),
        _stages_ms([result.encode for result in results], task.batch),
        _stages_ms([result.decode for result in results], task.batch),
        sum(len(result.encode.seconds) for result in results),
        results[-1].bytes,
        results[-1].note,
    )


def _median_ms(directions: Sequence[Direction], batch: int) -> float:
    return 1000.0 * statistics.median(s for direction in directions for s in direction.seconds) / batch


def _stages_ms(directions: Sequence[Direction], batch: int) -> dict[str, float]:
    names = dict.fromkeys(name for direction in directions for name in direction.stages)
    return {
        name: 1000.0 * statistics.median(direction.stages.get(name, 0.0) for direction in directions) / batch
        for name in names
    }
