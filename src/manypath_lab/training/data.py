"""Training pictures: decoded once into memory, cropped and flipped at random."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from manypath_pictures.errors import PictureError
from manypath_pictures.folder import files_below
from manypath_pictures.reader import SUFFIXES, read_picture


class PictureSet:
    """All pictures below a folder, as uint8 arrays in memory.

    Attributes:
        pictures: uint8 [H, W, 3] each.
        skipped: (file, reason) of what could not be used.
    """

    def __init__(self, folder: Path, min_side: int, *, quiet: bool = False) -> None:
        """Read the folder, naming and skipping what is unreadable or smaller than ``min_side`` pixels.

        Raises:
            FileNotFoundError: nothing usable below the folder.
        """
        listing = files_below(folder, SUFFIXES)
        self.pictures: list[npt.NDArray[np.uint8]] = []
        self.skipped: list[tuple[Path, str]] = list(listing.failures)
        for file in tqdm(listing.files, desc="reading pictures", unit="file", disable=quiet or None):
            try:
                picture = read_picture(file.read_bytes())
            except (OSError, PictureError) as err:
                self.skipped.append((file, f"unreadable: {err}"))
                continue
            if min(picture.shape[:2]) < min_side:
                self.skipped.append((file, f"smaller than {min_side} pixels: {picture.shape[1]}x{picture.shape[0]}"))
                continue
            self.pictures.append(picture)
        if not self.pictures:
            raise FileNotFoundError(f"no usable picture ({', '.join(sorted(SUFFIXES))}) below {folder}")
        sizes = np.asarray([picture.shape[0] * picture.shape[1] for picture in self.pictures], dtype=np.float64)
        self._shares = sizes / sizes.sum()

    def draw(self, generator: np.random.Generator) -> npt.NDArray[np.uint8]:
        """Return a picture, uint8 [H, W, 3], drawn by its area, so that every pixel is as likely as any other."""
        return self.pictures[generator.choice(len(self.pictures), p=self._shares)]

    def crops(self, generator: np.random.Generator, batch: int, side: int) -> Tensor:
        """Return random crops, float32 [batch, side, side, 3] in [0, 1], flipped at random both ways."""
        out = np.empty((batch, side, side, 3), dtype=np.uint8)
        for number in range(batch):
            crop = square_crop(generator, self.draw(generator), side)
            if generator.random() < 0.5:
                crop = crop[:, ::-1]
            if generator.random() < 0.5:
                crop = crop[::-1]
            out[number] = crop
        return torch.from_numpy(out).float().div_(255.0)

    def upright_crops(self, generator: np.random.Generator, batch: int, side: int, zoom_out: float) -> Tensor:
        """Return random crops for a network that knows up from down, as ``crops`` does but flipped sideways only.

        Pictures are equally likely, each shrunk by a random factor of 1 to ``zoom_out``, or as far as it is large.
        """
        out = np.empty((batch, side, side, 3), dtype=np.uint8)
        for number, which in enumerate(generator.integers(len(self.pictures), size=batch)):
            picture = self.pictures[which]
            largest = min(zoom_out, min(picture.shape[:2]) / side)
            crop = square_crop(generator, picture, round(side * float(np.exp(generator.random() * np.log(largest)))))
            if len(crop) != side:
                crop = np.asarray(Image.fromarray(crop).resize((side, side), Image.Resampling.BICUBIC))
            out[number] = crop[:, ::-1] if generator.random() < 0.5 else crop
        return torch.from_numpy(out).float().div_(255.0)


def square_crop(generator: np.random.Generator, picture: npt.NDArray[np.uint8], side: int) -> npt.NDArray[np.uint8]:
    """Return a random square of a picture, uint8 [side, side, 3]."""
    top = generator.integers(picture.shape[0] - side + 1)
    left = generator.integers(picture.shape[1] - side + 1)
    return picture[top : top + side, left : left + side]
