"""Street scenes and their masks: CamVid's eleven classes, read once, cropped, scaled and coloured at random."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from manypath.errors import ImageError
from manypath_pictures.errors import PictureError
from manypath_pictures.reader import read_indexes, read_picture

CLASSES = (
    "sky",
    "building",
    "pole",
    "road",
    "pavement",
    "tree",
    "sign_symbol",
    "fence",
    "car",
    "pedestrian",
    "bicyclist",
)
"""Names by class index."""
PALETTE = (
    (128, 128, 128),
    (128, 0, 0),
    (192, 192, 128),
    (128, 64, 128),
    (0, 0, 192),
    (128, 128, 0),
    (192, 128, 128),
    (64, 64, 128),
    (64, 0, 128),
    (64, 64, 0),
    (0, 128, 192),
)
"""A colour per class, 8-bit RGB: those of the data set."""
VOID = 11
"""The label of pixels that belong to no class; nothing counts there."""


class Scene(NamedTuple):
    """A picture and what is in it.

    Attributes:
        name: of the file, without suffix.
        image: uint8 [H, W, 3].
        mask: uint8 [H, W], a class or ``VOID``.
    """

    name: str
    image: npt.NDArray[np.uint8]
    mask: npt.NDArray[np.uint8]


def read_scenes(folder: Path) -> list[Scene]:
    """Read ``images/*`` and the ``masks/*.png`` of the same name, sorted by name.

    Raises:
        FileNotFoundError: there is no picture, or one has no mask.
        ImageError: a file cannot be read, a mask has another size than its picture, or a label beyond ``VOID``.
    """
    scenes: list[Scene] = []
    for file in sorted((folder / "images").glob("*.*")):
        try:
            image = read_picture(file.read_bytes())
            mask = read_indexes((folder / "masks" / f"{file.stem}.png").read_bytes())
        except PictureError as err:
            raise ImageError(f"{file} or its mask: {err}") from err
        if mask.shape != image.shape[:2] or mask.max() > VOID:
            raise ImageError(
                f"the mask of {file} must be {image.shape[:2]} with labels up to {VOID}; "
                f"got {mask.shape} and {mask.max()}"
            )
        scenes.append(Scene(file.stem, image, mask))
    if not scenes:
        raise FileNotFoundError(f"no picture in {folder / 'images'}")
    return scenes


class SceneCrops:
    """Random crops of scenes, each scaled by 0.5 to 2, mirrored or not, and coloured anew.

    Args:
        scenes: to draw from.
        scales: smallest and largest factor.
    """

    def __init__(self, scenes: list[Scene], scales: tuple[float, float] = (0.5, 2.0)) -> None:
        self.scenes = scenes
        self.scales = scales
        self._order: list[int] = []

    def draw(self, random: np.random.Generator, batch: int, side: int) -> tuple[Tensor, Tensor]:
        """Return pictures, float32 [batch, 3, side, side] in [0, 1], and masks, int64 [batch, side, side]."""
        images = np.empty((batch, side, side, 3), dtype=np.uint8)
        masks = np.empty((batch, side, side), dtype=np.int64)
        for number, which in enumerate(random.integers(len(self.scenes), size=batch)):
            images[number], masks[number] = self.crop(random, self.scenes[which], side)
        x = torch.from_numpy(images).permute(0, 3, 1, 2).float().div_(255.0)
        return _recolour(random, x), torch.from_numpy(masks)

    def crop(
        self, random: np.random.Generator, scene: Scene, side: int
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        """Return a random square of a scene, uint8 [side, side, 3], and its labels, uint8 [side, side]."""
        height, width = scene.mask.shape
        low, high = np.log(self.scales)
        scale = float(np.exp(random.uniform(low, high)))
        seen_h, seen_w = min(height, side / scale), min(width, side / scale)  # pixels of the scene
        top, left = random.uniform(0, height - seen_h), random.uniform(0, width - seen_w)
        box = (left, top, left + seen_w, top + seen_h)
        h, w = min(side, round(seen_h * scale)), min(side, round(seen_w * scale))
        image = Image.fromarray(scene.image).resize((w, h), Image.Resampling.BILINEAR, box=box)
        mask = Image.fromarray(scene.mask).resize((w, h), Image.Resampling.NEAREST, box=box)
        # Too small a scene is placed anywhere, what is missing is grey and counts for nothing.
        canvas = np.full((side, side, 3), 127, dtype=np.uint8)
        labels = np.full((side, side), VOID, dtype=np.uint8)
        y, x = random.integers(side - h + 1), random.integers(side - w + 1)
        canvas[y : y + h, x : x + w] = np.asarray(image)
        labels[y : y + h, x : x + w] = np.asarray(mask)
        if random.random() < 0.5:
            return canvas[:, ::-1], labels[:, ::-1]
        return canvas, labels


def _recolour(random: np.random.Generator, x: Tensor) -> Tensor:
    """Change brightness, contrast, saturation and tint of each picture; float32 [B, 3, H, W] in [0, 1]."""
    batch = x.shape[0]

    def factors(spread: float, channels: int = 1) -> Tensor:
        return torch.from_numpy(random.uniform(1 - spread, 1 + spread, (batch, channels, 1, 1)).astype(np.float32))

    grey = x.mean(1, keepdim=True)
    x = grey + (x - grey) * factors(0.4)
    middle = x.mean((1, 2, 3), keepdim=True)
    x = middle + (x - middle) * factors(0.3)
    return (x * factors(0.3) * factors(0.1, 3)).clamp_(0.0, 1.0)
