"""What a way to serve a task must say about itself; without an answer of its own it is the main path, untrained."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from benchmarks.paradigms.hyper_rate import HyperRate
from manypath import checkpoint
from manypath.multipath.routing import Routing, Trace
from manypath.network import Latents, Rate
from manypath_lab.training import sides


class Learned(NamedTuple):
    """Parameters that learn at one base step size."""

    kind: str
    parameters: list[nn.Parameter]
    rate: float


def without_sides(start: sides.ModelFile) -> sides.ModelFile:
    """Return the model with its main path alone: what every way begins at and is counted against."""
    names = [name for name, _ in start.config.sides]
    kept = {
        key: tensor for key, tensor in start.tensors.items() if not any(sides.belongs_to(key, name) for name in names)
    }
    return sides.ModelFile(dataclasses.replace(start.config, sides=()), kept)


class Paradigm:
    """One way to serve a task; as it stands, the main path, from which nothing learns.

    It owns a model of its own, frozen and in evaluation mode, into which it may put what it likes.

    Args:
        start: the trained model, without sides.

    Attributes:
        model: what decodes the task and, for shared streams, encodes as ``start`` does.
        side: the side path that takes tokens, or None where tokens are not routed by a share.
        shared_stream: whether one bitstream serves this task and all others.
        begins: where it stands before the first step.
    """

    shared_stream: ClassVar[bool] = True
    label: str = "main path, untrained"
    side: str | None = None

    def __init__(self, start: sides.ModelFile) -> None:
        released = checkpoint.build(start.config, start.tensors)
        self.model = released.model
        self.hyper_rate = HyperRate(released)
        self.begins = "the main path"

    def learned(self) -> list[Learned]:
        """Return what learns."""
        return []

    @property
    def added(self) -> int:
        """Return how many parameters a server needs beside the model's own."""
        return sum(parameter.numel() for group in self.learned() for parameter in group.parameters)

    @property
    def trained(self) -> int:
        """Return how many parameters learn."""
        return sum(parameter.numel() for group in self.learned() for parameter in group.parameters)

    def latents(self, x: Tensor, code: Tensor, rate: Rate | None = None) -> Latents:
        """Run analysis and estimate of pictures float32 [B, H, W, 3] at qualities int64 [B]."""
        with torch.no_grad():
            return self.model.latents(x, code, rate)

    def paint(self, y_hat: Tensor, code: Tensor, routing: Routing | None, trace: Trace | None = None) -> Tensor:
        """Return the task's picture, float [B, H, W, 3], of y_hat [B, h, w, M] in the gained domain.

        Args:
            y_hat: what the context model gave.
            code: qualities, int64 [B].
            routing: shares of tokens on the main path; only looked at where a ``side`` takes the others.
            trace: filled where tokens are routed.
        """
        tokens = self.model.shared_tokens(y_hat, code)
        picture: Tensor = self.model.g_s(tokens, code, routing if self.side else None, trace)
        return picture

    def penalty(self) -> Tensor | float:
        """Return what the last training pass adds to the loss beside its picture."""
        return 0.0

    @contextlib.contextmanager
    def serving(self) -> Iterator[None]:
        """Do once what a server does when it loads the task; yields while it is loaded."""
        yield

    def remark(self) -> str:
        """Return what the figures of the table do not say."""
        return ""
