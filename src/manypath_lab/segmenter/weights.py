"""The street segmenter: the shipped weights, or those of a file or a training run, as a torch module."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from manypath.errors import CheckpointError
from manypath_lab.segmenter.data import CLASSES, PALETTE, VOID
from manypath_lab.segmenter.network import SegmenterNetwork

__all__ = ["CLASSES", "PALETTE", "VOID", "load_segmenter", "read_run", "shipped_file", "to_bytes"]


def shipped_file() -> Path:
    """Return where the shipped weights are."""
    return Path(str(resources.files("manypath_lab") / "weights" / "segmenter.safetensors"))


def load_segmenter(file: Path | None = None) -> SegmenterNetwork:
    """Return a frozen network in evaluation mode.

    It takes pictures, float32 [B, 3, H, W] in [0, 1], of any size, and returns logits, float32 [B, 11, H, W]. It was
    made for street scenes of about 480x360 pixels: shrink larger ones.

    Args:
        file: weights that `manypath lab segmenter export` wrote; the shipped ones by default.

    Raises:
        CheckpointError: the file is missing, or is no segmenter's.
    """
    path = shipped_file() if file is None else Path(file)
    try:
        tensors = load(path.read_bytes())
    except OSError as err:
        raise CheckpointError(f"no segmenter in {path}: {err.strerror}") from err
    except SafetensorError as err:
        raise CheckpointError(f"{path} is not a safetensors file: {err}") from err
    return _build({name: tensor.float() for name, tensor in tensors.items()}, path)


def read_run(run: Path) -> tuple[SegmenterNetwork, int]:
    """Return the averaged network of a training run, as `to_bytes` will store it, and its step.

    Raises:
        CheckpointError: the folder holds no run of a segmenter.
    """
    try:
        state = torch.load(run / "state.pt", map_location="cpu", weights_only=True)
    except OSError as err:
        raise CheckpointError(f"{run} holds no training run (state.pt): {err.strerror}") from err
    prefix = "module."
    average = {name.removeprefix(prefix): t for name, t in state["average"].items() if name.startswith(prefix)}
    network = SegmenterNetwork(len(CLASSES), _width(average, run), norm=True)
    try:
        network.load_state_dict(average)
    except RuntimeError as err:
        raise CheckpointError(f"{run} is not a segmenter's run: {err}") from err
    halved = {name: tensor.half().float() for name, tensor in network.fold().state_dict().items()}
    return _build(halved, run), int(state["step"])


def to_bytes(network: SegmenterNetwork, notes: Mapping[str, str]) -> bytes:
    """Return a folded network's weights in half precision, as a safetensors file with notes in its header."""
    tensors = {name: tensor.half().contiguous() for name, tensor in network.state_dict().items()}
    return save(tensors, {"classes": json.dumps(CLASSES), **notes})


def _build(tensors: Mapping[str, Tensor], origin: Path) -> SegmenterNetwork:
    network = SegmenterNetwork(len(CLASSES), _width(tensors, origin))
    try:
        network.load_state_dict(tensors)
    except RuntimeError as err:
        raise CheckpointError(f"{origin} does not hold this segmenter's weights: {err}") from err
    return network.eval().requires_grad_(False)


def _width(tensors: Mapping[str, Tensor], origin: Path) -> int:
    """Return the channels of the pyramid that a network's tensors have."""
    weight = tensors.get("classify.weight")
    if weight is None or weight.dim() != 4:
        raise CheckpointError(f"{origin} does not hold this segmenter's weights: classify.weight is missing")
    return int(weight.shape[1])
