"""Between host and device: through pinned memory, on a stream that each codec has of its own.

A copy from ordinary memory goes through a buffer of the driver's and holds up whoever asked for it; from pinned memory
the device fetches it by itself, in order with the work of its stream. Streams of several codecs of one process run
beside each other, where all of them on the default stream would wait for one another. On a CPU nothing of this is
there, and nothing is copied. ``python -m benchmarks.gpu`` looks at a device whether it is so.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Generic, ParamSpec, TypeVar

import numpy.typing as npt
import torch
from torch import Tensor

Arguments = ParamSpec("Arguments")
Made = TypeVar("Made")


def to_device(x: Tensor, device: torch.device) -> Tensor:
    """Return a tensor of the host on a device; its copy is in order with what the current stream does next."""
    if device.type != "cuda":
        return x.to(device)
    return x.pin_memory().to(device, non_blocking=True)  # torch keeps the pinned memory until the copy is done


def to_host(x: Tensor) -> npt.NDArray[Any]:
    """Return a tensor's values, when the current stream has computed them; on a CPU they share its memory."""
    if x.device.type != "cuda":
        return x.cpu().numpy()
    there = torch.empty(x.shape, dtype=x.dtype, pin_memory=True)
    there.copy_(x, non_blocking=True)
    torch.cuda.current_stream(x.device).synchronize()
    values: npt.NDArray[Any] = there.numpy()
    return values


class OwnStream:
    """The stream of one codec.

    Args:
        device: whose stream it is; other devices than CUDA's have none.
    """

    def __init__(self, device: torch.device) -> None:
        self._stream: torch.cuda.Stream | None = None
        if device.type == "cuda":
            self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
            self._stream.wait_stream(torch.cuda.current_stream(device))  # which brings the weights

    def current(self) -> AbstractContextManager[Any]:
        """Compute on it for as long as the block lasts."""
        if self._stream is None:
            return nullcontext()
        stream: AbstractContextManager[Any] = torch.cuda.stream(self._stream)
        return stream


class CachedByStream(Generic[Arguments, Made]):
    """A function of what can be hashed and of a device, given last, whose latest results are kept for each stream.

    A stream reads no memory that another still writes, and none that goes back to the allocator is read by another:
    results belong to the stream on which they were made. They are no inference tensors, so they serve training as well.
    """

    def __init__(self, make: Callable[Arguments, Made], most: int) -> None:
        self._make, self._most = make, most
        self._kept: dict[Hashable, Callable[..., Made]] = {}
        functools.update_wrapper(self, make)

    def __call__(self, *args: Arguments.args, **_: Arguments.kwargs) -> Made:
        """Return the function's result for these arguments, which are given by place."""
        stream = _current_stream(args[-1])
        kept = self._kept.get(stream)
        if kept is None:
            kept = self._kept.setdefault(stream, functools.lru_cache(self._most)(self._made))
        return kept(*args)

    def clear(self) -> None:
        """Forget all results."""
        self._kept.clear()

    def _made(self, *args: Arguments.args, **_: Arguments.kwargs) -> Made:
        with torch.inference_mode(mode=False):
            return self._make(*args)  # type: ignore[call-arg]


def cached_by_stream(most: int) -> Callable[[Callable[Arguments, Made]], CachedByStream[Arguments, Made]]:
    """Let a function keep so many results for each stream; see ``CachedByStream``."""
    return lambda make: CachedByStream(make, most)


def _current_stream(device: object) -> Hashable:
    """Return the stream of a device that work goes to; None for devices without."""
    assert isinstance(device, torch.device)
    current = getattr(getattr(torch, device.type, None), "current_stream", None)
    return None if current is None else current(device)
