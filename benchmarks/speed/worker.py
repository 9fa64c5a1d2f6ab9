"""One subject timed in a process of its own, so that one codec's threads and memory never touch the next.

Run by ``benchmarks.speed``: reads a task as JSON from its argument, prints the result as JSON on its last
line.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from benchmarks.picture import Pixels
from benchmarks.speed.subjects import Subject, Variant, make_subject
from manypath_lab.machine import use_threads


class Task(NamedTuple):
    """What to time.

    Attributes:
        subject: Name of the codec.
        dtype: ``float32`` or ``bfloat16``.
        channels_last: Memory format of a CompressAI model.
        threads: Threads and processors to use.
        device: ``cpu`` or ``cuda``.
        batch: Pictures per call.
        picture: ``.npy`` file of a uint8 [H, W, 3] picture.
        repeats: Timed calls, after one to warm up.
        budget: Seconds after which a direction is not repeated any more.
    """

    subject: str
    dtype: str
    channels_last: bool
    threads: int
    device: str
    batch: int
    picture: str
    repeats: int
    budget: float


class Direction(NamedTuple):
    """The timed calls of encoding or decoding.

    Attributes:
        seconds: One per call, for the whole batch.
        stages: Mean seconds per call and stage; empty where a subject has none.
    """

    seconds: list[float]
    stages: dict[str, float]


class Result(NamedTuple):
    """What a worker found.

    Attributes:
        encode: Timed encodes.
        decode: Timed decodes.
        bytes: Size of one picture's stream.
        note: What a reader should know.
    """

    encode: Direction
    decode: Direction
    bytes: int
    note: str


def clock_calls(call: Callable[[], object], subject: Subject, repeats: int, budget: float) -> tuple[Direction, object]:
    """Time ``call``; a first call that alone exceeds the budget is the only sample, else it only warms up.

    Returns:
        The timed calls, and what the first one returned.
    """
    begin = time.perf_counter()
    output = call()
    first = time.perf_counter() - begin
    warm_stages = subject.stages()
    if first > budget:
        return Direction([first], warm_stages), output
    seconds: list[float] = []
    while len(seconds) < repeats and (not seconds or sum(seconds) < budget):
        begin = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - begin)
    stages = {stage: total / len(seconds) for stage, total in subject.stages().items()}
    return Direction(seconds, stages), output


def run(task: Task) -> Result:
    """Build the subject and time it in both directions."""
    variant = Variant(task.dtype, task.channels_last)
    subject = make_subject(task.subject, variant, threads=task.threads, device=task.device)
    images: Sequence[Pixels] = [np.load(task.picture)] * task.batch
    encode, encoded = clock_calls(lambda: subject.encode(images), subject, task.repeats, task.budget)
    decode, _ = clock_calls(lambda: subject.decode(encoded), subject, task.repeats, task.budget)
    return Result(encode, decode, subject.size(encoded), subject.note)


def to_json(result: Result) -> str:
    """Return the result as one line."""
    nested = {"encode": result.encode._asdict(), "decode": result.decode._asdict()}
    return json.dumps({**result._asdict(), **nested})


def from_json(text: str) -> Result:
    """Read what :func:`to_json` wrote."""
    content: dict[str, Any] = json.loads(text)
    content["encode"] = Direction(**content["encode"])
    content["decode"] = Direction(**content["decode"])
    return Result(**content)


def main(arguments: Sequence[str]) -> None:
    """Run the task in the first argument."""
    task = Task(**json.loads(arguments[0]))
    use_threads(task.threads)
    print(to_json(run(task)))


if __name__ == "__main__":
    main(sys.argv[1:])
