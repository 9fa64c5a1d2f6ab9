"""Stage 2: one side path and its predictors learn, everything else stands still (MPA section 4).

The bitstream does not change, so no rate is in the loss; the frozen part runs in evaluation mode and without gradients,
as it will when the path is served.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from manypath import checkpoint
from manypath.config import ADAPTERS
from manypath.errors import CheckpointError
from manypath.families import build_network
from manypath.image import to_image
from manypath.multipath.routing import Routing, Trace
from manypath.network import Network
from manypath_lab.training import sides
from manypath_lab.training.augmented import AugmentedPictures
from manypath_lab.training.data import PictureSet
from manypath_lab.training.qualities import draw_codes
from manypath_lab.training.recipe import SideRecipe, recipe_of
from manypath_lab.training.run import TrainingRun
from manypath_lab.training.side_init import add_nothing, imitate_main
from manypath_lab.training.side_loss import SideLossTerms, SidePicture, SideTerms

START_FILE = "start.json"  # which model a run's side belongs to


class SideNetwork(nn.Module):
    """The modules of one side path, by their names in the model."""

    def __init__(self, model: Network, name: str) -> None:
        super().__init__()
        parts = {
            place: module
            for place, module in model.named_modules()
            if place.startswith("g_s.") and place.endswith((f"side_mlps.{name}", f"predictors.{name}"))
        }
        self.names = list(parts)
        self.parts = nn.ModuleList(parts.values())

    def of_kind(self, kind: str) -> list[nn.Parameter]:
        """Return the parameters of its ``side_mlps`` or of its ``predictors``."""
        parts = zip(self.names, self.parts, strict=True)
        return [parameter for name, part in parts if f".{kind}." in name for parameter in part.parameters()]

    def renamed(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return tensors by their names here, of tensors by their names in the model."""
        return {
            f"parts.{number}.{key.removeprefix(f'{name}.')}": value.float()
            for number, name in enumerate(self.names)
            for key, value in tensors.items()
            if key.startswith(f"{name}.")
        }

    def tensors(self) -> dict[str, Tensor]:
        """Return the side's tensors by their names in the model."""
        return {
            f"{name}.{key}": value
            for name, part in zip(self.names, self.parts, strict=True)
            for key, value in part.state_dict().items()
        }


def model_with_side(start: sides.ModelFile, name: str, shape: str) -> tuple[Network, bool]:
    """Return the frozen model with the side ``name``, and whether the side is new rather than the start's own."""
    if (name, shape) in start.config.sides:
        return checkpoint.build(start.config, start.tensors).model, False
    others = tuple((n, s) for n, s in start.config.sides if n != name)
    fresh = build_network(dataclasses.replace(start.config, sides=(*others, (name, shape))))
    tensors = {key: value for key, value in fresh.state_dict().items() if sides.belongs_to(key, name)}
    extended = sides.with_side(start, name, shape, tensors)
    return checkpoint.build(extended.config, extended.tensors).model, True


class SideTrainer(TrainingRun):
    """Trains one side path; ``samples/`` shows originals above the main path's and the side's pictures at quality 1.

    Args:
        recipe: what to train.
        start: the model that stands still.
        pictures: to learn from.
        folder: the run folder.
        device: a torch device.
    """

    columns = ("loss", "psnr", "perceptual", "task", "gradient")

    def __init__(
        self, recipe: SideRecipe, start: sides.ModelFile, pictures: PictureSet, folder: Path, device: str = "cpu"
    ) -> None:
        self.terms = SideLossTerms(recipe, torch.device(device), start.config.rate_weights)
        self.recipe = recipe
        self.pictures = pictures
        self.augmented = AugmentedPictures(pictures, recipe.augmentation) if recipe.augmentation else None
        torch.manual_seed(recipe.seed)
        self.model, new = model_with_side(start, recipe.path, recipe.shape)
        self.side = SideNetwork(self.model, recipe.path)
        if new and recipe.shape in ADAPTERS:
            add_nothing(self.side)
        elif new:
            imitate_main(self.model, recipe.path, pictures, recipe.phases[0].crop, recipe.seed)
        self.side.requires_grad_(True)
        self.model.to(device)
        groups = [
            {"params": self.side.of_kind("side_mlps"), "base": recipe.rate, "kind": "sides"},
            {"params": self.side.of_kind("predictors"), "base": recipe.predictor_rate, "kind": "predictors"},
        ]
        optimizer = torch.optim.Adam(groups, lr=1.0, betas=(0.9, 0.98), fused=True)
        super().__init__(recipe, folder, self.side, optimizer, torch.device(device))

    @property
    def added_parameters(self) -> int:
        """Return how many parameters the path adds."""
        return sum(parameter.numel() for parameter in self.side.parameters())

    @property
    def added_share(self) -> float:
        """Return the same as a share of the model without any side of the synthesis."""
        names = [name for name, _ in self.model.config.sides]
        base = sum(
            parameter.numel()
            for key, parameter in self.model.named_parameters()
            if not any(sides.belongs_to(key, name) for name in names)
        )
        return self.added_parameters / base

    def train_step(self) -> Mapping[str, float]:
        """Take one optimiser step."""
        terms = self.forward_pass()
        norm = self.descend(terms.loss)
        means = (float(terms.loss.detach()), terms.psnr, terms.perceptual, terms.task, norm)
        return dict(zip(self.columns, means, strict=True))

    def forward_pass(self) -> SideTerms:
        """Draw pictures, a quality for each and how to route, and judge what the side makes of them."""
        recipe = self.recipe
        phase, _ = recipe.at(self.step)
        x, code, weight = (own.to(self.device) for own in self._draw(phase.batch, phase.crop))
        trace = Trace([], [])
        routing = self._seeded(self.terms.routing(self.random, phase.batch, recipe.fractions, self.device), x)
        with torch.no_grad(), self.products(exact=True):
            y_hat = self.model.latents(x, code).y_hat
        with self.products():
            with torch.no_grad():
                tokens = self.model.shared_tokens(y_hat, code)
            x_hat = self.model.g_s(tokens, code, routing, trace).float()
        return self.terms(SidePicture(x_hat, routing, trace, weight), x, code, self.random, self.step)

    def _draw(self, batch: int, crop: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return crops, a quality code for each, and what each weighs."""
        if self.augmented is not None:
            code = draw_codes(self.random, batch, self.recipe.fractions)
            x, weight = self.augmented.crops(self.random, code, crop)
            return x, code, weight
        x = self.pictures.upright_crops(self.random, batch, crop, self.recipe.zoom_out)
        return x, draw_codes(self.random, batch, self.recipe.fractions), torch.ones(batch)

    def _seeded(self, routing: Routing, x: Tensor) -> Routing:
        """Return the routing with noise, where the side sees any: a seed a picture, as if each were a stream."""
        if not self.model.sees_noise(routing.side):
            return routing
        seeds = self.random.integers(0, 2**32, len(x)).tolist()
        return self.model.with_noise(routing, seeds, 0, x.shape[1], x.shape[2])

    @torch.no_grad()
    def sample(self) -> None:
        """Write a sheet: three crops, the main path's and the side's reconstructions below them."""
        phase, _ = self.recipe.at(self.step)
        random = np.random.default_rng(0)
        x = self.pictures.upright_crops(random, 3, phase.crop, self.recipe.zoom_out).to(self.device)
        code = torch.zeros(3, dtype=torch.int64, device=self.device)
        tokens = self.model.shared_tokens(self.model.latents(x, code).y_hat, code)
        routing = Routing(self.recipe.path, torch.zeros(1, device=self.device), exact=True)
        routing = self.model.with_noise(routing, range(len(x)), 0, phase.crop, phase.crop)
        rows = [x, self.model.g_s(tokens, code, None), self.model.g_s(tokens, code, routing)]
        folder = self.folder / "samples"
        folder.mkdir(exist_ok=True)
        sheet = torch.cat([torch.cat(tuple(row.float()), 1) for row in rows], 0)
        Image.fromarray(to_image(sheet)).save(folder / f"{self.step:07d}.png")


def side_trainer(
    recipe: SideRecipe, model: str | Path, pictures: PictureSet, folder: Path, device: str = "cpu"
) -> SideTrainer:
    """Return a trainer on a model, and write down in the run folder which one; say what the path adds."""
    start = sides.read(model)
    trainer = SideTrainer(recipe, start, pictures, folder, device)
    base = {"model": str(model), "base_digest": sides.base_digest(start)}
    file = folder / START_FILE
    if file.exists() and json.loads(file.read_text())["base_digest"] != base["base_digest"]:
        raise CheckpointError(f"{folder} was trained on other weights than those of {model}; choose another --output")
    folder.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(base))
    added, share = trainer.added_parameters, trainer.added_share
    print(f"path {recipe.path!r} adds {added:,} parameters, {share:.2%} of the model's", file=sys.stderr)
    return trainer


def begin_at(trainer: SideTrainer, source: Path) -> None:
    """Let a side begin as that of another run, or of a model file, whatever weights that one was trained on.

    Raises:
        CheckpointError: there is no such run or file, or it has no side of this name and shape.
    """
    recipe = trainer.recipe
    wanted = (recipe.path, recipe.shape)
    found, tensors = _side_run(source) if source.is_dir() else _sides_of_file(source, trainer.side, recipe.path)
    if wanted not in found:
        has = ", ".join(f"{path!r} of the shape {shape!r}" for path, shape in found) or "none"
        raise CheckpointError(f"{source} has no side {wanted[0]!r} of the shape {wanted[1]!r}; it has {has}")
    try:
        for side in (trainer.side, trainer.average.module):
            side.load_state_dict(tensors)
    except RuntimeError as err:
        raise CheckpointError(f"{source} has a side of another size: {str(err).splitlines()[-1].strip()}") from err


Sides = tuple[tuple[str, str], ...]  # names and shapes


def _side_run(run: Path) -> tuple[Sides, dict[str, Tensor]]:
    """Return which side a run trained, and its averaged weights by their names in ``SideNetwork``."""
    recipe = _side_recipe(run)
    return ((recipe.path, recipe.shape),), _averaged(run)


def _sides_of_file(file: Path, side: SideNetwork, path: str) -> tuple[Sides, dict[str, Tensor]]:
    """Return which sides a model file has, and the weights of one by their names in ``SideNetwork``."""
    model = sides.read(file)
    own = {key: value for key, value in model.tensors.items() if sides.belongs_to(key, path)}
    return model.config.sides, side.renamed(own)


def _side_recipe(run: Path) -> SideRecipe:
    try:
        recipe = recipe_of(run)
    except OSError as err:
        raise CheckpointError(f"{run} holds no training run: {err}") from err
    if not isinstance(recipe, SideRecipe):
        raise CheckpointError(f"{run} trained a whole model and no side path; give a side's run")
    return recipe


def _averaged(run: Path) -> dict[str, Tensor]:
    """Return the averaged weights of a side's run, by their names in ``SideNetwork``."""
    try:
        state: dict[str, Any] = torch.load(run / "state.pt", map_location="cpu", weights_only=True)
    except OSError as err:
        raise CheckpointError(f"{run} was not saved yet: {err}") from err
    prefix = "module."
    return {k.removeprefix(prefix): v for k, v in state["average"].items() if k.startswith(prefix)}


def export_side(run: Path, start: sides.ModelFile) -> sides.ModelFile:
    """Return the start with the averaged side of a run.

    Raises:
        CheckpointError: the run was trained on another model.
    """
    recipe = _side_recipe(run)
    base = json.loads((run / START_FILE).read_text())
    if base["base_digest"] != sides.base_digest(start):
        raise CheckpointError(f"{run} was trained on {base['model']}, whose weights are not those of the model given")
    model, _ = model_with_side(start, recipe.path, recipe.shape)
    side = SideNetwork(model, recipe.path)
    side.load_state_dict(_averaged(run))
    return sides.with_side(start, recipe.path, recipe.shape, side.tensors())
