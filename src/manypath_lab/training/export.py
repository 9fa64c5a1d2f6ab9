"""From a run folder to a released checkpoint: integers frozen, tables computed in double precision."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from manypath import checkpoint
from manypath.edge.model import EdgeNetwork
from manypath.entropy.tables import stack
from manypath.errors import CheckpointError
from manypath_lab.training.float_weights import fitted
from manypath_lab.training.rate import RateModel
from manypath_lab.training.recipe import Recipe, SideRecipe, recipe_of
from manypath_lab.training.stage1 import TrainingNetwork, model_config

NEGLIGIBLE = 1e-7  # probability below which a hyper-latent symbol is left to the escapes


def hyper_rows(rate: RateModel) -> list[npt.NDArray[np.float64]]:
    """Return each hyper-latent channel's probabilities of the symbols -b..b, tails in the outermost ones."""
    prior = rate.hyper.double()
    channels = prior.channels
    edges = torch.arange(-EdgeNetwork.HYPER_BOUND, EdgeNetwork.HYPER_BOUND, dtype=torch.float64) + 0.5
    with torch.no_grad():
        logits = prior._logits_cumulative(edges.expand(channels, 1, -1), stop_gradient=True)[:, 0]
        below = torch.sigmoid(logits).numpy()
    rows = []
    for cumulative in below:
        row = np.clip(np.diff(np.concatenate(([0.0], cumulative, [1.0]))), 0.0, None)
        likely = np.nonzero(row > NEGLIGIBLE)[0]
        bound = max(1, int(np.abs(likely - EdgeNetwork.HYPER_BOUND).max(initial=1)))
        kept = row[EdgeNetwork.HYPER_BOUND - bound : EdgeNetwork.HYPER_BOUND + bound + 1].copy()
        kept[0] += row[: EdgeNetwork.HYPER_BOUND - bound].sum()
        kept[-1] += row[EdgeNetwork.HYPER_BOUND + bound + 1 :].sum()
        rows.append(kept)
    prior.float()
    return rows


def read_recipe(run: Path) -> Recipe:
    """Return the recipe of a whole model's run."""
    recipe = recipe_of(run)
    if isinstance(recipe, SideRecipe):
        raise CheckpointError(f"{run} trained a side path; give the model that it belongs to with --model")
    return recipe


def load_average(run: Path) -> tuple[TrainingNetwork, Recipe, int]:
    """Return the averaged network of a run, its recipe and its step.

    Raises:
        CheckpointError: the folder holds no run.
    """
    try:
        recipe = read_recipe(run)
        state = torch.load(run / "state.pt", map_location="cpu", weights_only=True)
    except OSError as err:
        raise CheckpointError(f"{run} holds no training run (recipe.json and state.pt): {err}") from err
    network = TrainingNetwork(model_config(recipe))
    prefix = "module."
    average = {k.removeprefix(prefix): v for k, v in state["average"].items() if k.startswith(prefix)}
    network.load_state_dict(average)
    return network.eval(), recipe, int(state["step"])


def blend(network: TrainingNetwork, run: Path, share: float) -> None:
    """Move a network's weights by ``share`` of the way to those of another run, or of a file of float weights.

    On the straight line between a model and what it became by further training, weights mostly code as well as at its
    ends and have some of what each is good at. What the other run does not have, such as sides, stays.

    Raises:
        CheckpointError: the other run is of another preset, or the share is not in [0, 1].
    """
    if not 0.0 <= share <= 1.0:
        raise CheckpointError(f"a share of weights is from 0 to 1; got {share}")
    theirs = load_average(run)[0].state_dict() if run.is_dir() else fitted(network, run)
    ours = network.state_dict()
    if any(key not in ours or ours[key].shape != value.shape for key, value in theirs.items()):
        raise CheckpointError(f"{run} holds another network; only runs that began at one another can be blended")
    for key, value in theirs.items():
        if value.is_floating_point():
            ours[key].lerp_(value, share)


def blended_average(run: Path, other: tuple[Path, float] | None = None) -> TrainingNetwork:
    """Return a run's averaged network, blended with another run's if asked; see ``blend``."""
    network, _, _ = load_average(run)
    if other is not None:
        blend(network, *other)
    return network


def export_run(run: Path, other: tuple[Path, float] | None = None) -> bytes:
    """Return a released checkpoint of a run's averaged weights, blended with another run's if asked; see ``blend``."""
    network = blended_average(run, other)
    tables = stack(hyper_rows(network.rate)) if network.prior is None else network.prior.tables()
    tensors = checkpoint.export(network.model, tables)
    checkpoint.build(network.model.config, tensors)  # refuses what the codec would refuse
    return checkpoint.to_bytes(network.model.config, tensors)
