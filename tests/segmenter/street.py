"""Street scenes of the tests' own: flat colours, one per class, so that anyone can learn them."""

from pathlib import Path

import numpy as np
from PIL import Image

from manypath_lab.segmenter.data import VOID, Scene

COLOURS = {0: (150, 200, 250), 3: (90, 90, 90), 8: (220, 30, 40), VOID: (0, 0, 0)}


def street(seed: int, height: int = 96, width: int = 128) -> Scene:
    """Sky above road, a car on it, an unlabelled bonnet below."""
    random = np.random.default_rng(seed)
    mask = np.zeros((height, width), dtype=np.uint8)
    mask[random.integers(height // 3, height // 2) :] = 3
    top, left = random.integers(height // 2, 2 * height // 3), random.integers(0, width - 40)
    mask[top : top + 20, left : left + 40] = 8
    mask[-6:] = VOID
    image = np.zeros((height, width, 3), dtype=np.uint8)
    for label, colour in COLOURS.items():
        image[mask == label] = colour
    return Scene(f"street{seed}", image, mask)


def write(scenes: list[Scene], folder: Path) -> None:
    """Lay scenes out as the data set does."""
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    for scene in scenes:
        Image.fromarray(scene.image).save(folder / "images" / f"{scene.name}.png")
        Image.fromarray(scene.mask).save(folder / "masks" / f"{scene.name}.png")
