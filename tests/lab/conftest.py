"""What the tests of training learn from."""

from pathlib import Path

import pytest
from PIL import Image

from manypath_lab.training.data import PictureSet
from tests.codec.conftest import photo


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> PictureSet:
    """Four photo-like pictures of 128x96 pixels."""
    folder: Path = tmp_path_factory.mktemp("photos")
    for seed in range(4):
        Image.fromarray(photo(96, 128, seed)).save(folder / f"{seed}.png")
    return PictureSet(folder, 64, quiet=True)
