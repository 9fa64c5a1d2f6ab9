"""The schedule of a context model: slices times stages, written once and walked by estimate, encode and decode.

Latent channels are coded slice by slice, a slice in one or more passes over its positions. At each step a context model
says for each of its positions a mean and an index into the scale table, and a visitor turns those into y_hat: by
rounding (estimate), rounding and noting the symbols (encode), or reading symbols (decode).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from torch import Tensor


class Step(NamedTuple):
    """One pass of the schedule.

    Attributes:
        number: place in the schedule.
        slice: which slice.
        stage: which pass over it.
        stages: how many passes the slice has.
        start: first latent channel of the slice.
        width: channels of the slice.
    """

    number: int
    slice: int
    stage: int
    stages: int
    start: int
    width: int


Visitor = Callable[[Step, Tensor, Tensor, Tensor], Tensor]
"""(step, positions [P], means [B, P, width], indexes float [B, P, width]) -> y_hat [B, P, width]."""


def at(x: Tensor, where: Tensor) -> Tensor:
    """Return [B, P, C] of [B, h*w, C] at positions int64 [P]; ``x`` itself where these are all."""
    return x if len(where) == x.shape[1] else x.index_select(1, where)


def schedule(widths: Sequence[int], stages: Sequence[int]) -> tuple[Step, ...]:
    """Return the steps of a model, in coding order.

    Args:
        widths: latent channels of each slice.
        stages: passes over each slice.
    """
    steps: list[Step] = []
    start = 0
    for number, (width, passes) in enumerate(zip(widths, stages, strict=True)):
        steps += [Step(len(steps) + stage, number, stage, passes, start, width) for stage in range(passes)]
        start += width
    return tuple(steps)
