"""Random models for tests and timings: untrained, with seeded weights; they agree with nobody but themselves."""

from __future__ import annotations

import dataclasses

import torch

from manypath import checkpoint
from manypath.errors import CheckpointError
from manypath.families import PRESETS, build_network
from manypath.network import own_defaults

SIDES = (("mse", "adapter"), ("classification", "adapter"), ("segmentation", "adapter"))


def random_model(preset: str, seed: int = 0, sides: tuple[tuple[str, str], ...] = ()) -> checkpoint.Released:
    """Return an untrained model of a preset.

    Args:
        preset: its shape.
        seed: of its weights.
        sides: side paths of its synthesis, (name, shape).

    Raises:
        CheckpointError: no preset of that name.
    """
    if preset not in PRESETS:
        raise CheckpointError(f"no preset {preset!r}; there are {', '.join(PRESETS)}")
    config = dataclasses.replace(PRESETS[preset], sides=sides)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build_network(config)
        with own_defaults():
            hyper_tables = network.randomise()
    return checkpoint.build(config, checkpoint.export(network, hyper_tables))


def random_by_name(name: str) -> checkpoint.Released | None:
    """Return the model called ``<preset>-random`` or, with the three well-known sides, ``<preset>-random-sides``.

    Raises:
        CheckpointError: no such preset.
    """
    preset, dash, rest = name.partition("-random")
    if not dash or rest not in ("", "-sides"):
        return None
    return random_model(preset, sides=SIDES if rest else ())
