"""What the figures' tests share: a picture with an edge and grain, and an untrained model with four paths."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from manypath.codec import Codec
from manypath_cli.main import main

MODEL = "tiny-random-sides"
HEIGHT, WIDTH = 100, 139  # no multiples of anything


@pytest.fixture(scope="session")
def codec() -> Codec:
    return Codec.load(MODEL)


@pytest.fixture(scope="session")
def image() -> np.ndarray:
    """A flat left half and a grainy right half: bits and differences belong on the right."""
    random = np.random.default_rng(7)
    pixels = np.full((HEIGHT, WIDTH, 3), 120.0)
    pixels[:, WIDTH // 2 :] += random.normal(0, 60, (HEIGHT, WIDTH - WIDTH // 2, 3))
    return np.clip(pixels, 0, 255).astype(np.uint8)


@pytest.fixture
def picture(tmp_path: Path, image: np.ndarray) -> Path:
    file = tmp_path / "grain.png"
    Image.fromarray(image).save(file)
    return file


class Figure:
    """What a command wrote."""

    def __init__(self, file: Path) -> None:
        self.file = file
        with Image.open(file) as opened:
            self.size = opened.size
        self.facts: dict[str, Any] = json.loads(file.with_suffix(".json").read_text())

    def maps(self) -> dict[str, np.ndarray]:
        with np.load(self.file.with_suffix(".npz")) as maps:
            return dict(maps)


@pytest.fixture
def figure(tmp_path: Path) -> Callable[..., Figure]:
    """Run ``manypath lab figure`` in this process, with the untrained model."""

    def run(kind: str, *arguments: object) -> Figure:
        file = tmp_path / "out" / f"{kind}.png"
        model = [] if kind == "curves" else ["--model", MODEL]
        assert main(["lab", "figure", kind, *model, "--output", str(file), *map(str, arguments)]) == 0
        return Figure(file)

    return run


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in the test's own folder."""
    monkeypatch.chdir(tmp_path)
