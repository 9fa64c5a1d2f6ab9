"""The segmenter's training: resumable to the step (see ``run``), validated on the way."""

from __future__ import annotations

import csv
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import torch
from PIL import Image
from pydantic import Field, ValidationError
from torch.nn import functional as F

from manypath.errors import ConfigError
from manypath_lab.segmenter.confusion import Confusion
from manypath_lab.segmenter.data import CLASSES, PALETTE, Scene, SceneCrops
from manypath_lab.segmenter.loss import class_weights, cross_entropy, missing_overlap
from manypath_lab.segmenter.network import SegmenterNetwork
from manypath_lab.training.recipe import BaseRecipe, Phase
from manypath_lab.training.run import TrainingRun

LOSS_STRIDE = 2
"""The loss looks at every second row and column, drawn anew each step: a third of the step's time at stride 1."""


class SegmenterRecipe(BaseRecipe):
    """How the segmenter is trained; the defaults made the shipped one."""

    name: str = "segmenter"
    ema: float = Field(default=0.99, ge=0, lt=1, description="decay of the weights' moving average")
    warmup: int = Field(default=50, ge=0, description="steps of linear warm-up")
    clip: float = Field(default=5.0, gt=0, description="largest global gradient norm")
    features_rate: float = Field(default=2e-4, gt=0, description="Adam's step size for the pretrained features")
    pyramid_rate: float = Field(default=2e-3, gt=0, description="Adam's step size for everything else")
    weight_decay: float = Field(default=1e-2, ge=0, description="AdamW's")
    frozen: int = Field(default=2, ge=0, description="first stages, the stem with them, that keep their weights")
    width: int = Field(default=96, ge=8, le=512, description="channels of the pyramid")
    balance: float = Field(default=0.35, ge=0, le=1, description="class weight: share of pixels to minus this")
    overlap: float = Field(default=0.5, ge=0, description="weight of the missing overlap beside the cross-entropy")
    scales: tuple[float, float] = Field(default=(0.5, 2.0), description="scenes are scaled by a factor between these")
    phases: tuple[Phase, ...] = (
        Phase(steps=900, batch=8, crop=256, rate=(1.0, 0.4)),
        Phase(steps=300, batch=8, crop=320, rate=(0.4, 0.01)),
    )


def load_recipe(file: Path | None = None) -> SegmenterRecipe:
    """Return the shipped recipe, changed by the fields of a TOML file.

    Raises:
        ConfigError: the file cannot be read, or a field is unknown or out of range.
    """
    if file is None:
        return SegmenterRecipe()
    try:
        return SegmenterRecipe.model_validate(tomllib.loads(file.read_text()))
    except (OSError, tomllib.TOMLDecodeError, ValidationError) as err:
        raise ConfigError(f"recipe {file}: {err}") from err


class SegmenterTrainer(TrainingRun):
    """Trains the pyramid from scratch and the features from EfficientNet-Lite0's.

    Args:
        recipe: decides the run.
        scenes: to learn from.
        validation: scenes whose mean IoU goes to ``validation.csv``.
        folder: the run folder.
        network: where to start; ``start_network()`` by default.
    """

    columns = ("loss", "cross_entropy", "missing_overlap", "accuracy", "gradient")

    def __init__(
        self,
        recipe: SegmenterRecipe,
        scenes: list[Scene],
        validation: list[Scene],
        folder: Path,
        network: SegmenterNetwork | None = None,
    ) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe = recipe
        self.crops = SceneCrops(scenes, recipe.scales)
        self.validation = validation
        self.network = (network or start_network(recipe.width)).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.weights = class_weights([scene.mask for scene in scenes], len(CLASSES), recipe.balance)
        for module in (self.network.features.stem, *self.network.features.stages[: recipe.frozen]):
            module.requires_grad_(False)
        features = [value for value in self.network.features.parameters() if value.requires_grad]
        rest = [value for name, value in self.network.named_parameters() if not name.startswith("features.")]
        optimizer = torch.optim.AdamW(
            [
                {"params": features, "base": recipe.features_rate, "kind": "features"},
                {"params": rest, "base": recipe.pyramid_rate, "kind": "pyramid"},
            ],
            lr=1.0,
            weight_decay=recipe.weight_decay,
            fused=True,
        )
        super().__init__(recipe, folder, self.network, optimizer, torch.device("cpu"))

    def train_step(self) -> Mapping[str, float]:
        """Take one optimiser step."""
        phase, _ = self.recipe.at(self.step)
        x, masks = self.crops.draw(self.random, phase.batch, phase.crop)
        self.network.train()
        logits = self.network.quarter(x.contiguous(memory_format=torch.channels_last))
        logits = F.interpolate(logits, scale_factor=4.0 / LOSS_STRIDE, mode="bilinear", align_corners=False)
        down, right = self.random.integers(LOSS_STRIDE, size=2)
        masks = masks[:, down::LOSS_STRIDE, right::LOSS_STRIDE]
        entropy, missing = cross_entropy(logits, masks, self.weights), missing_overlap(logits, masks)
        loss = entropy + self.recipe.overlap * missing
        norm = self.descend(loss)
        known = masks < len(CLASSES)
        right_ones = ((logits.detach().argmax(1) == masks) & known).sum() / known.sum().clamp_min(1)
        values = (float(loss.detach()), float(entropy.detach()), float(missing.detach()), float(right_ones), norm)
        return dict(zip(self.columns, values, strict=True))

    @torch.no_grad()
    def sample(self) -> None:
        """Measure the averaged network on the validation scenes, and draw what it says of the first two."""
        network = cast("SegmenterNetwork", self.average.module).eval()
        confusion = Confusion(len(CLASSES))
        rows = []
        for number, scene in enumerate(self.validation):
            x = torch.from_numpy(scene.image.copy()).permute(2, 0, 1)[None].float() / 255.0
            answer = network(x.contiguous(memory_format=torch.channels_last)).argmax(1)[0].numpy().astype(np.uint8)
            confusion.add(scene.mask, answer)
            if number < 2:
                rows.append(np.concatenate([scene.image, coloured(answer), coloured(scene.mask)], 1))
        file = self.folder / "validation.csv"
        fresh = not file.exists()
        with file.open("a", newline="") as handle:
            writer = csv.writer(handle)
            if fresh:
                writer.writerow(("step", "mean_iou", "accuracy", *CLASSES))
            figures: Sequence[float] = (confusion.mean_iou(), confusion.accuracy(), *confusion.iou())
            writer.writerow((self.step, *(f"{figure:.4f}" for figure in figures)))
        folder = self.folder / "samples"
        folder.mkdir(exist_ok=True)
        Image.fromarray(np.concatenate(rows, 0)).save(folder / f"{self.step:07d}.png")


def start_network(width: int = 96) -> SegmenterNetwork:
    """Return a network to train: EfficientNet-Lite0's features, an untrained pyramid of so many channels."""
    from manypath_lab.classifier.networks import load_network

    network = SegmenterNetwork(len(CLASSES), width, norm=True)
    network.features.adopt(load_network())
    return network


def coloured(mask: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Return a mask, uint8 [H, W], in the palette's colours, uint8 [H, W, 3]; void is black."""
    return np.asarray([*PALETTE, (0, 0, 0)], dtype=np.uint8)[mask]
