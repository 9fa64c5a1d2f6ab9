"""What the command line's tests share: a folder with pictures, and the command in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from manypath_cli.main import main

Run = Callable[..., int]


def save_picture(file: Path, width: int = 40, height: int = 24, **options: Any) -> Path:
    """Write a small picture with shading and grain."""
    rng = np.random.default_rng(width * height)
    ramp = np.linspace(0, 200, width)[None, :, None] + np.linspace(0, 50, height)[:, None, None]
    pixels = np.clip(ramp + rng.normal(0, 8, (height, width, 3)), 0, 255).astype(np.uint8)
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(file, **options)
    return file


def pixels(file: Path) -> npt.NDArray[np.uint8]:
    """Return a picture file's pixels, uint8 [H, W, 3]."""
    with Image.open(file) as picture:
        return np.array(picture)


@pytest.fixture
def manypath(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command, run in this process and in the test's own folder; encode and decode get the tiny model."""
    monkeypatch.chdir(tmp_path)

    def run(command: str, *arguments: object) -> int:
        model = ["--model", "tiny-random"] if command in ("encode", "decode") else []
        return main([command, *map(str, arguments), *model])

    return run
