"""What is made of frozen weights for every call alike, made once."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

Made = TypeVar("Made")
_State = tuple[Hashable, ...]


class Kept(Generic[Made]):
    """Keeps the last thing that was made, until what it was made of is another. A copy starts with nothing.

    What a tensor's version does not count goes unnoticed: a change in place by ``.data``, or of an inference tensor.
    """

    def __init__(self) -> None:
        self._held: tuple[Hashable, tuple[Tensor, ...], list[_State], list[Tensor], Made] | None = None

    def get(self, make: Callable[[], Made], *sources: Tensor, key: Hashable = None) -> Made:
        """Return what ``make`` gives, or gave for the same sources and key; nothing is kept of weights that may learn.

        Args:
            make: reads the sources.
            sources: tensors.
            key: what else it depends on.
        """
        held = self._held
        # the tensors and their memory are held as well: an object's place and an address that are free may be another's
        if held is not None and not torch.is_grad_enabled() and held[0] == key and len(held[1]) == len(sources):
            for source, old, state in zip(sources, held[1], held[2], strict=True):
                if source is not old or source.requires_grad or _state(source) != state:
                    break
            else:
                return held[4]
        made = make()
        if not torch.is_grad_enabled() and not any(source.requires_grad for source in sources):
            memory = [source.detach() for source in sources]
            self._held = (key, sources, [_state(source) for source in sources], memory, made)
        return made

    def __deepcopy__(self, memo: dict[int, Any]) -> Kept[Made]:
        return Kept()

    def __reduce__(self) -> tuple[type[Kept[Made]], tuple[()]]:
        return Kept, ()


def _state(tensor: Tensor) -> _State:
    """Return what changes when a tensor's memory, type or values do."""
    return tensor.data_ptr(), 0 if tensor.is_inference() else tensor._version, tensor.dtype
