"""Where a main model's run begins: at the averaged weights of another run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from manypath.errors import CheckpointError
from manypath_lab.training import sides
from manypath_lab.training.export import load_average
from manypath_lab.training.stage1 import Trainer


def begin_at(trainer: Trainer, run: Path, also: Mapping[str, Tensor] | None = None) -> None:
    """Give a trainer the averaged weights of a main model's run.

    Args:
        trainer: gets them; its own sides, if it has any, stay as they are.
        run: where they come from.
        also: more tensors, by their names in the trainer's network.

    Raises:
        CheckpointError: there is no run, or it is of another preset.
    """
    network, _, _ = load_average(run)
    fresh, begun = trainer.network.state_dict(), network.state_dict()
    own = [name for name, _ in trainer.network.model.config.sides]
    missing = [
        key
        for key in fresh.keys() - begun.keys()
        if not any(sides.belongs_to(key.removeprefix("model."), name) for name in own)
    ]
    if missing or any(key not in fresh or fresh[key].shape != value.shape for key, value in begun.items()):
        raise CheckpointError(f"{run} was trained with another preset than {trainer.recipe.preset!r}")
    tensors = {**fresh, **begun, **(also or {})}
    trainer.network.load_state_dict(tensors)
    trainer.average.module.load_state_dict(tensors)
