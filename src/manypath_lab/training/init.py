"""Where a main model's training starts: at the averaged weights of another run, or at the float weights of a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from manypath.errors import CheckpointError
from manypath_lab.training import sides
from manypath_lab.training.export import load_average
from manypath_lab.training.float_weights import fitted, shipped, without_sides
from manypath_lab.training.stage1 import Trainer


def initialise(trainer: Trainer, source: Path, side_tensors: Mapping[str, Tensor] | None = None) -> None:
    """Give a trainer weights to start from; its own sides, if it has any, stay as they are.

    Args:
        trainer: gets them; sides that it does not have stay behind.
        source: a main model's run folder, a safetensors file of float weights, or the name of a model whose float
            weights come with the package.
        side_tensors: more, by their names in the trainer's network.

    Raises:
        CheckpointError: there is no run or file, or it is of another preset.
    """
    file = source if source.exists() else shipped(str(source)) or source
    tensors = _average_of(file, trainer) if file.is_dir() else fitted(trainer.network, file)
    for network in (trainer.network, trainer.average.module):
        network.load_state_dict({**tensors, **(side_tensors or {})}, strict=False)


def _average_of(run: Path, trainer: Trainer) -> dict[str, Tensor]:
    network, _, _ = load_average(run)
    ours = trainer.network.state_dict()
    ours_sides, their_sides = (sides.names(one.model.config) for one in (trainer.network, network))
    theirs = without_sides(network.state_dict(), their_sides - ours_sides)
    missing = without_sides(dict.fromkeys(ours.keys() - theirs.keys()), ours_sides)
    if missing or any(key not in ours or ours[key].shape != value.shape for key, value in theirs.items()):
        raise CheckpointError(f"{run} was trained with another preset than {trainer.recipe.preset!r}")
    return theirs
