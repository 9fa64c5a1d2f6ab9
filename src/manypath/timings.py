"""The one clock of stages: where an encode or a decode spends its seconds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

import torch

STAGES = ("analysis", "effort", "entropy_parameters", "coding", "synthesis")


class StageTimings:
    """Adds up where time goes. A stage that runs within another one counts for itself alone.

    Attributes:
        seconds: per stage of ``STAGES``.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._inner = [0.0]  # seconds of the stages within each one that is running

    def add(self, stage: str, seconds: float) -> None:
        """Add seconds to a stage."""
        self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """Add the block's seconds to a stage, but for those that blocks within it measure."""
        self.seconds.setdefault(stage, 0.0)  # in the order in which stages begin
        self._inner.append(0.0)
        start = perf_counter()
        try:
            yield
        finally:
            if len(self._inner) == 2 and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
                torch.cuda.current_stream().synchronize()  # kernels run on after their call returned
            spent = perf_counter() - start
            self.add(stage, spent - self._inner.pop())
            self._inner[-1] += spent
