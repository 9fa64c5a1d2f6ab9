"""The detector's shipped weights and class names, read into a frozen network."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load, save

from manypath.errors import CheckpointError
from manypath_lab.detector.network import DetectorNetwork

_FOLDER = "weights/nanodet-g"


def shipped_file() -> Path:
    """Return where the shipped weights are."""
    return _shipped("weights.safetensors")


def class_names() -> tuple[str, ...]:
    """Return the 80 names of COCO's classes, by class index."""
    return tuple(_shipped("classes.txt").read_text(encoding="utf-8").splitlines())


def notices() -> dict[str, str]:
    """Return what a copy of the weights, in any form, must carry along: the notice and the licences, by file name."""
    names = ("NOTICE", "LICENSE-nanodet.txt", "LICENSE-human-models.txt")
    return {name: _shipped(name).read_text(encoding="utf-8") for name in names}


def load_detector(file: Path | None = None) -> DetectorNetwork:
    """Return a frozen network in evaluation mode.

    Args:
        file: weights of the same network, as `manypath lab detector export` writes them; the shipped ones by default.

    Raises:
        CheckpointError: the file is missing, or holds no such detector.
    """
    path = shipped_file() if file is None else Path(file)
    try:
        tensors = load(path.read_bytes())
    except OSError as err:
        raise CheckpointError(f"no detector in {path}: {err.strerror}") from err
    except SafetensorError as err:
        raise CheckpointError(f"{path} is not a safetensors file: {err}") from err
    network = DetectorNetwork()
    try:
        network.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    except RuntimeError as err:
        raise CheckpointError(f"{path} does not hold this detector's weights: {err}") from err
    return network.eval().requires_grad_(False)


def to_bytes(network: DetectorNetwork) -> bytes:
    """Return a network's weights in half precision as a safetensors file, the notice in its header."""
    tensors = {name: tensor.half().contiguous() for name, tensor in network.state_dict().items()}
    return save(tensors, {"notice": notices()["NOTICE"]})


def _shipped(name: str) -> Path:
    return Path(str(resources.files("manypath_lab") / _FOLDER / name))
