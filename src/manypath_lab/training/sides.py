"""Side paths as parts of a model file: adding, replacing, taking from another file.

A side belongs to the model it was trained on: everything but the sides of two files must be equal to the bit before
one takes the other's sides.
"""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import safe_open
from torch import Tensor

from manypath import checkpoint
from manypath.config import ModelConfig
from manypath.edge.config import EdgeConfig
from manypath.errors import CheckpointError


class ModelFile(NamedTuple):
    """A released checkpoint's contents: its configuration and its tensors, as stored."""

    config: ModelConfig
    tensors: dict[str, Tensor]


def read(name_or_file: str | Path) -> ModelFile:
    """Read a model file, checked as the codec checks it.

    Raises:
        CheckpointError: there is none, or it is damaged.
    """
    file = checkpoint.find(name_or_file)
    config = checkpoint.load(file).model.config
    with safe_open(str(file), framework="pt") as handle:
        return ModelFile(config, {key: handle.get_tensor(key) for key in handle.keys()})  # noqa: SIM118  not a dict


def belongs_to(tensor: str, side: str) -> bool:
    """Whether a tensor, by its name, is of the synthesis' side path ``side``."""
    return tensor.startswith("g_s.") and (f".side_mlps.{side}." in tensor or f".predictors.{side}." in tensor)


def names(config: ModelConfig) -> frozenset[str]:
    """Return the side paths that a model has."""
    return frozenset(name for name, _ in config.sides)


def base_digest(model: ModelFile) -> str:
    """Return the SHA-256 of what sides are trained on: all but the synthesis' sides."""
    total = hashlib.sha256()
    for name in sorted(model.tensors):
        if not any(belongs_to(name, side) for side in names(model.config)):
            total.update(name.encode())
            total.update(model.tensors[name].contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return total.hexdigest()


def with_side(model: ModelFile, name: str, shape: str, side: dict[str, Tensor]) -> ModelFile:
    """Return the model with a side added, or replaced if it has one of that name.

    Args:
        model: what the side was trained on.
        name: of the path.
        shape: of its MLPs.
        side: its tensors, by their names in the model.
    """
    sides = (*((n, s) for n, s in model.config.sides if n != name), (name, shape))
    kept = {key: tensor for key, tensor in model.tensors.items() if not belongs_to(key, name)}
    kind = torch.float16 if isinstance(model.config, EdgeConfig) else torch.float32  # as the model itself is stored
    stored = {key: tensor.detach().to("cpu", kind, copy=True).contiguous() for key, tensor in side.items()}
    return ModelFile(dataclasses.replace(model.config, sides=sides), {**kept, **stored})


def merge(base: ModelFile, others: list[ModelFile]) -> ModelFile:
    """Return ``base`` with the sides of other files of the same model; of two equal names the later one stays.

    Raises:
        CheckpointError: another file's model is not the same.
    """
    digest = base_digest(base)
    for number, other in enumerate(others):
        if base_digest(other) != digest:
            raise CheckpointError(
                f"file {number + 1} after the base holds another model: its sides were trained on different weights; "
                "train them again on this one"
            )
        for name, shape in other.config.sides:
            tensors = {key: tensor for key, tensor in other.tensors.items() if belongs_to(key, name)}
            base = with_side(base, name, shape, tensors)
    return base


def to_bytes(model: ModelFile) -> bytes:
    """Return a released checkpoint, after the codec's own check of it.

    Raises:
        CheckpointError: the codec would refuse it.
    """
    checkpoint.build(model.config, model.tensors)
    return checkpoint.to_bytes(model.config, model.tensors)
