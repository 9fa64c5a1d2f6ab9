"""Float weights in a file, from which a training starts; every tensor accounted for."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from manypath.errors import CheckpointError
from manypath.families import read_config
from manypath_lab.training import sides

if TYPE_CHECKING:
    from manypath_lab.training.stage1 import TrainingNetwork

T = TypeVar("T")

PRIOR = "rate.hyper."  # the hyper-latent's factorised prior, one row a channel and level
COMPUTED = ("_offset", "_quantized_cdf", "_cdf_length", "scale_table")  # buffers that no training reads


def shipped(name: str) -> Path | None:
    """Return the file of the float weights that come with the package under a model's name; None if there are none."""
    file = Path(str(resources.files("manypath_lab") / "weights" / f"{name}-floats.safetensors"))
    return file if file.is_file() else None


def _is_learned(name: str) -> bool:
    return not name.endswith(COMPUTED)


def save_weights(network: TrainingNetwork) -> bytes:
    """Return the float weights of a training network as a safetensors file, to be initialised from again."""
    tensors = {
        key: value.detach().cpu().contiguous() for key, value in network.state_dict().items() if _is_learned(key)
    }
    return save(tensors, metadata={"config": network.model.config.to_json()})


def without_sides(tensors: Mapping[str, T], names: Collection[str]) -> dict[str, T]:
    """Return a training network's tensors but those of the sides that are named."""
    return {
        key: value
        for key, value in tensors.items()
        if not any(sides.belongs_to(key.removeprefix("model."), name) for name in names)
    }


def fitted(network: TrainingNetwork, file: Path) -> dict[str, Tensor]:
    """Return the tensors of a file in the shapes of a network.

    The file may lack side paths, which then stay as they are; those that the network lacks stay behind. A prior of one
    set of tables is given to every level of a network that has one a level.

    Raises:
        CheckpointError: not a safetensors file, or a tensor is missing, left over or of another shape.
    """
    try:
        tensors = load_file(file)
        with safe_open(file, "pt") as opened:
            config = (opened.metadata() or {}).get("config")
    except (OSError, SafetensorError) as err:
        raise CheckpointError(f"{file}: not a safetensors file of float weights: {err}") from err
    if config is not None:
        tensors = without_sides(tensors, sides.names(read_config(config)) - sides.names(network.model.config))
    expected = {key: value for key, value in network.state_dict().items() if _is_learned(key)}
    names = sides.names(network.model.config)
    lacking, unknown = expected.keys() - tensors.keys(), tensors.keys() - expected.keys()
    missing = without_sides(dict.fromkeys(lacking), names)
    if missing or unknown:
        raise CheckpointError(
            f"{file} does not fit the preset {network.model.config.name!r}: "
            f"missing {sorted(missing)[:3]}, unknown {sorted(unknown)[:3]}"
        )
    for name, value in ((name, expected[name]) for name in expected.keys() - lacking):
        tensor = tensors[name]
        if name.startswith(PRIOR) and tensor.shape != value.shape and tensor.dim() == value.dim():
            times = value.shape[0] // max(1, tensor.shape[0])
            tensors[name] = tensor = tensor.repeat(times, *(1,) * (tensor.dim() - 1))
        if tensor.shape != value.shape:
            raise CheckpointError(f"{file}: {name} has the shape {list(tensor.shape)}, expected {list(value.shape)}")
    return tensors
