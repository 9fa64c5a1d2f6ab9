"""The network computes what the published network computed: checked on its outputs, or on an extract of them."""

import json
import runpy
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image
from torch import Tensor

from manypath.entropy.schedule import Step
from manypath.image import to_tensor
from manypath.multipath.routing import Routing
from manypath.network import Network
from manypath.tinylic.context import ContextModel, gaussian_bits
from manypath.tinylic.hyper import HyperAnalysis, HyperSynthesis
from tests.tinylic.conftest import TASKS, code_of, nhwc, relative_error, with_sides
from tests.tinylic.filling import filled
from tests.tinylic.published_context import published_shapes

EXTRACT = Path(__file__).parent / "extract"
TOLERANCE = 1e-4  # relative, of the norm
HANDFUL = 8  # symbols in 61,440 that may round the other way
QUALITIES = (1, 4, 5.5, 8)

HyperSymbols = Callable[[Tensor, float], Tensor]
Reference = dict[str, npt.NDArray[Any]]


def routing(task: int, level: float) -> Routing:
    return Routing(TASKS[task], torch.tensor([1 - (level - 1) / 7], dtype=torch.float64), exact=True)


def painted(network: Network, y_hat: Tensor, code: Tensor, paths: list[tuple[int, float]]) -> list[Tensor]:
    """Return x_hat of y_hat by several (task number, task level)."""
    shared = network.shared_tokens(y_hat, code)
    return [network.g_s(shared, code, routing(*path)) for path in paths]


def paths_of(keys: list[str]) -> list[tuple[int, float]]:
    """Read (task number, task level) out of keys such as ``x_hat/task1/q_task4.5``."""
    parts = [key.split("/")[-2:] for key in keys]
    return [(int(task.removeprefix("task")), float(level.removeprefix("q_task"))) for task, level in parts]


def walked(network: Network, features: Tensor, gained: Tensor) -> tuple[Tensor, float]:
    """Return y_hat and its bits, estimated from the densities."""
    flat = gained.flatten(1, 2)
    bits = 0.0

    def visit(step: Step, where: Tensor, means: Tensor, scales: Tensor) -> Tensor:
        nonlocal bits
        symbols = torch.round(flat[:, where, step.start : step.start + step.width] - means)
        bits += float(gaussian_bits(symbols, scales).double().sum())
        return means + symbols

    assert isinstance(network.context, ContextModel)
    return network.context.walk(features, visit), bits


def parts(network: Network) -> tuple[HyperAnalysis, HyperSynthesis]:
    assert isinstance(network.h_a, HyperAnalysis)
    assert isinstance(network.h_s, HyperSynthesis)
    return network.h_a, network.h_s


@torch.inference_mode()
def test_the_extract_is_reproduced_stage_by_stage(network: Network) -> None:
    with np.load(EXTRACT / "stages.npz") as stored:
        stages = {key: stored[key] for key in stored.files}
    planes = np.frombuffer(zlib.decompress((EXTRACT / "y_hat.zlib").read_bytes()), np.uint8).astype(np.uint32)
    high, middle, low = planes.reshape(3, 320, 12, 16)
    y_hat = nhwc((high << 24 | middle << 16 | low << 8).view(np.float32))

    def check(name: str, x: Tensor) -> None:
        whole = x[0].permute(2, 0, 1).contiguous()
        sample = whole.flatten()[torch.from_numpy(stages[f"{name}/places"]).long()]
        assert relative_error(sample, torch.from_numpy(stages[f"{name}/values"])) < TOLERANCE, name
        assert float(whole.double().norm()) == pytest.approx(float(stages[f"{name}/norm"]), rel=TOLERANCE), name

    h_a, h_s = parts(network)
    code = code_of(4)
    y = network.g_a(
        to_tensor(np.asarray(Image.open(EXTRACT / "picture.png"))), code, network.analysis_routing(code, exact=True)
    )
    check("g_a", y)
    gained = y * network.gain(code)[:, None, None]
    check("h_a", h_a(gained, code))
    symbols = nhwc(stages["symbols"])
    features = h_s(symbols, code)
    check("h_s", features)
    own, bits = walked(network, features, gained)
    assert int(((own - y_hat).abs() > 0.5).sum()) <= HANDFUL
    assert bits == pytest.approx(float(stages["bits"][0]), rel=1e-3)
    assert float(h_s.prior.bits(symbols + h_s.prior.medians).sum()) == pytest.approx(float(stages["bits"][1]), rel=1e-3)
    keys = sorted(key.removesuffix("/norm") for key in stages if key.startswith("x_hat") and key.endswith("norm"))
    assert len(keys) == 3
    for key, x_hat in zip(keys, painted(network, y_hat, code, paths_of(keys)), strict=True):
        check(key, x_hat)


def test_names_and_shapes_are_those_of_the_published_list(conformance: Path) -> None:
    published = json.loads((conformance / "parameters.json").read_text())
    assert {name: tuple(shape) for name, shape in published.items()} == published_shapes(with_sides())


def test_our_filling_is_the_filling_of_the_reference(conformance: Path) -> None:
    fill = runpy.run_path(str(conformance / "fill_weights.py"))["fill"]
    seen = set()
    for name, shape in published_shapes(with_sides()).items():
        if np.prod(shape) < 300_000:  # the larger ones are of the same kinds, and take seconds
            assert np.array_equal(fill(name, shape), filled(name, shape)), name
            seen.add(name.rsplit(".", 1)[-1])
    assert {"Gain", "InverseHyperGain", "quantiles", "_matrix4", "shift", "gamma_1", "rpb", "bias", "weight"} <= seen


@pytest.mark.parametrize("quality", QUALITIES)
@torch.inference_mode()
def test_every_stage_is_reproduced(
    network: Network,
    reference: Reference,
    reference_bits: dict[float, dict[str, float]],
    hyper_symbols: HyperSymbols,
    quality: float,
) -> None:
    of = f"q{quality:g}/"
    expected = {key.removeprefix(of): nhwc(value) for key, value in reference.items() if key.startswith(of)}
    h_a, h_s = parts(network)
    code = code_of(quality)
    y = network.g_a(to_tensor(reference["image"]), code, network.analysis_routing(code, exact=True))
    assert relative_error(y, expected["g_a"]) < TOLERANCE
    gained = expected["g_a"] * network.gain(code)[:, None, None]
    assert relative_error(h_a(gained, code), expected["h_a"]) < TOLERANCE
    symbols = hyper_symbols(expected["h_a"], quality)
    own = h_s.symbols(expected["h_a"] * network.hyper_gain(code)[:, None, None])
    assert int((own != symbols).sum()) <= HANDFUL
    assert relative_error(h_s(symbols, code), expected["h_s"]) < TOLERANCE
    y_hat, bits = walked(network, expected["h_s"], gained)
    assert int(((y_hat - expected["y_hat"]).abs() > 0.5).sum()) <= HANDFUL
    assert bits == pytest.approx(reference_bits[quality]["y"], rel=1e-3)
    hyper_bits = float(h_s.prior.bits(symbols + h_s.prior.medians).sum())
    assert hyper_bits == pytest.approx(reference_bits[quality]["z"], rel=1e-3)
    keys = [key for key in expected if key.startswith("x_hat")]
    assert len(keys) == (7 if quality == 4 else 1)
    for key, x_hat in zip(keys, painted(network, expected["y_hat"], code, paths_of(keys)), strict=True):
        assert relative_error(x_hat, expected[key]) < TOLERANCE, key
    # and once without help: from our own y to the last symbol
    features = h_s(h_s.symbols(network.hyper_latent(y, code)), code)
    chained, _ = walked(network, features, y * network.gain(code)[:, None, None])
    assert int(((chained - expected["y_hat"]).abs() > 0.5).sum()) <= HANDFUL
