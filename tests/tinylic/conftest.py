"""What the tests of the published network share: the network, filled as the reference was, and where that lies."""

import dataclasses
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from manypath.codec import Codec
from manypath.convert.upstream import load_published
from manypath.network import Network
from manypath.quality import quality_to_code
from manypath.tinylic.config import PUBLISHED_SIDES, TINYLIC, TinyLICConfig
from tests.tinylic.filling import filled
from tests.tinylic.published_context import published_shapes

TASKS = [name for name, _ in PUBLISHED_SIDES]  # in the order of the published task numbers


def with_sides() -> TinyLICConfig:
    """Return the configuration of the whole published network."""
    return dataclasses.replace(TINYLIC, sides=PUBLISHED_SIDES)


def code_of(quality: float) -> Tensor:
    return torch.tensor([quality_to_code(quality)])


def nhwc(x: npt.NDArray[Any]) -> Tensor:
    """Return a stored [C, h, w] as float32 [1, h, w, C]."""
    return torch.from_numpy(np.ascontiguousarray(x.transpose(1, 2, 0)).astype(np.float32))[None]


def relative_error(x: Tensor, expected: Tensor) -> float:
    return float((x - expected).norm() / expected.norm())


@pytest.fixture(scope="session")
def published_tensors() -> dict[str, Tensor]:
    """The published state dict as the reference outputs were made with."""
    return {name: torch.from_numpy(filled(name, shape)) for name, shape in published_shapes(with_sides()).items()}


@pytest.fixture(scope="session")
def network(published_tensors: dict[str, Tensor]) -> Network:
    """The published network, filled; treat it as read-only."""
    return load_published(published_tensors)


@pytest.fixture(scope="session")
def hyper_symbols(published_tensors: dict[str, Tensor]) -> Callable[[Tensor, float], Tensor]:
    """Return the symbols of a hyper-latent before its gain, with the published gain to its last digit."""
    table = published_tensors["HyperGain"].abs()
    median = published_tensors["entropy_bottleneck.quantiles"][:, 0, 1]

    def symbols(h_a: Tensor, quality: float) -> Tensor:
        low = int(quality)
        part = quality - low
        gain = table[low - 1] ** (1 - part) * table[min(low, 7)] ** part
        return torch.round(h_a * gain - median)

    return symbols


@pytest.fixture(scope="session")
def conformance() -> Path:
    """The folder with the published network's outputs."""
    folder = os.environ.get("MANYPATH_CONFORMANCE")
    if not folder:
        pytest.skip("MANYPATH_CONFORMANCE does not point to the reference outputs; the extract is checked instead")
    return Path(folder) / "upstream-mpa"


@pytest.fixture(scope="session")
def reference(conformance: Path) -> dict[str, npt.NDArray[Any]]:
    with np.load(conformance / "reference.npz") as stored:
        return {key: stored[key] for key in stored.files}


@pytest.fixture(scope="session")
def reference_bits(conformance: Path) -> dict[float, dict[str, float]]:
    return {own["quality"]: own["estimated_bits"] for own in json.loads((conformance / "streams.json").read_text())}


@pytest.fixture(scope="session")
def codec() -> Codec:
    """A small untrained codec of the published family: loads in a blink."""
    return Codec.load("tinylic-tiny-random-sides")
