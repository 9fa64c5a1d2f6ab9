"""What the tests of training learn from, and in which precision.

``auto``, the recipes' default, asks the processor. So that every machine runs the same tests, here it computes in
float32; a test that takes ``units`` runs with and without autocast.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from manypath_lab.training.data import PictureSet
from tests.codec.conftest import photo

ASKED = "manypath_lab.training.run.multiplies_bfloat16"


@pytest.fixture(scope="package", autouse=True)
def no_units() -> Iterator[None]:
    """As on a processor without bfloat16 units."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ASKED, lambda device: device.type == "cuda")
        yield


@pytest.fixture(params=[False, True], ids=["float32", "bfloat16"])
def units(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """As on a processor without such units, and as on one with them."""
    monkeypatch.setattr(ASKED, lambda device: request.param or device.type == "cuda")
    return bool(request.param)


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> PictureSet:
    """Four photo-like pictures of 128x96 pixels."""
    folder: Path = tmp_path_factory.mktemp("photos")
    for seed in range(4):
        Image.fromarray(photo(96, 128, seed)).save(folder / f"{seed}.png")
    return PictureSet(folder, 64, quiet=True)
