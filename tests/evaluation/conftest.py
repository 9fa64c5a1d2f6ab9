"""Small pictures with edges, gradients and texture, made from a seed."""

import pathlib

import numpy as np
import pytest
from PIL import Image


def synthetic_picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Return uint8 [H, W, 3]: a gradient, a few rectangles, and a little smooth noise."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:height, 0:width]
    pixels = np.stack([rows * 200 / height, columns * 200 / width, (rows + columns) * 100 / (height + width)], -1)
    for _ in range(6):
        top, left = random.integers(0, height // 2), random.integers(0, width // 2)
        pixels[top : top + height // 4, left : left + width // 4] += random.integers(-80, 80, 3)
    coarse = random.normal(0, 25, (height // 8 + 2, width // 8 + 2, 3))
    pixels += np.kron(coarse, np.ones((8, 8, 1)))[:height, :width]
    return np.clip(pixels, 0, 255).astype(np.uint8)


@pytest.fixture
def picture() -> np.ndarray:
    return synthetic_picture(96, 128)


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    """Two PNG files of different size, large enough for MS-SSIM."""
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    Image.fromarray(synthetic_picture(176, 192, 1)).save(pictures / "a.png")
    Image.fromarray(synthetic_picture(192, 176, 2)).save(pictures / "b.png")
    return pictures


@pytest.fixture
def photos(tmp_path: pathlib.Path) -> pathlib.Path:
    """Twelve pictures, dark to bright, labelled by their brightness; the labels of the last three are wrong."""
    folder = tmp_path / "photos"
    (folder / "images").mkdir(parents=True)
    rows = ["file,label"]
    for number in range(12):
        pixels = np.clip(synthetic_picture(64, 64, number) // 4 + 16 * number, 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / "images" / f"{number:02}.png")
        rows.append(f"images/{number:02}.png,{int(pixels.mean() // 64) if number < 9 else 99}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture(autouse=True)
def own_cache(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """Keep every test's cache to itself."""
    monkeypatch.setenv("MANYPATH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"
