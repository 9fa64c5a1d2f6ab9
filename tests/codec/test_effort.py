"""Effort makes latents cost less, and its streams are as all others."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from manypath.bitstream import VERSION, inspect, parse
from manypath.codec import Codec, Rate, StageTimings
from manypath.effort.latents import Effort
from manypath.entropy.pricing import Pricing
from manypath.entropy.tables import gaussian_tables
from manypath.errors import BudgetError, EffortError, RequestError
from manypath.image import Image
from manypath.paths import DecodePath
from tests.codec.conftest import photo
from tests.codec.parts import parts

MOST_EFFORT = Rate.MOST_EFFORT


@pytest.fixture(scope="module")
def shipped() -> Codec:
    return Codec.load("edge", dtype="float32")


def squared_error(codec: Codec, image: Image, stream: bytes) -> float:
    again = codec.decode(stream, path=DecodePath.MSE)
    return float(np.square(image.astype(np.float64) - again).mean())


def lagrangian(codec: Codec, image: Image, rate: Rate) -> float:
    stream = codec.encode(image, rate)
    bpp = 8 * len(stream) / (image.shape[0] * image.shape[1])
    return 0.01 * squared_error(codec, image, stream) + codec.config.rate_weights[int(rate.quality or 4) - 1] * bpp


@pytest.mark.parametrize("quality", [2.0, 6.0])
def test_bits_and_errors_cost_less_with_effort(shipped: Codec, quality: float) -> None:
    image = photo(128, 128)
    costs = [lagrangian(shipped, image, Rate(quality=quality, effort=effort)) for effort in range(MOST_EFFORT + 1)]
    assert max(costs[1:]) < costs[0]


def lines() -> Image:
    picture = np.full((128, 128, 3), 255, np.uint8)
    picture[20:24, 10:110] = 0
    picture[40:100:6, 20:90] = (255, 0, 0)
    picture[:, 64:66] = (0, 0, 255)
    return picture


ODD = {
    "lines": lines(),
    "noise": np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8),
    "checkerboard": np.repeat((np.indices((128, 128)).sum(0) % 2 * 255).astype(np.uint8)[..., None], 3, 2),
    "white": np.full((64, 64, 3), 255, np.uint8),
}


@pytest.mark.parametrize("name", ODD)
def test_no_odd_picture_costs_more_with_effort(shipped: Codec, name: str) -> None:
    """A pass weighs bits by half of what is counted here and begins with symbols rounded by their price.

    So pure noise may cost a little more (1.6 % were seen), and so may a checkerboard at quality 1 (3.1 %, at 59 dB).
    """
    most = {"noise": 1.03, "checkerboard": 1.05}.get(name, 1.001)
    for quality in (1.0, 8.0):
        costs = [lagrangian(shipped, ODD[name], Rate(quality=quality, effort=effort)) for effort in (0, 1)]
        assert costs[1] <= most * costs[0]


def test_a_drawn_picture_gains_most(shipped: Codec) -> None:
    plain, improved = (shipped.encode(lines(), Rate(quality=4.0, effort=effort)) for effort in (0, MOST_EFFORT))
    assert len(improved) < 1.05 * len(plain)
    assert squared_error(shipped, lines(), improved) < 0.5 * squared_error(shipped, lines(), plain)


def test_a_budget_buys_a_better_picture_with_effort_and_is_kept(shipped: Codec) -> None:
    image = photo(64, 128)
    budget = len(shipped.encode(image, quality=5.0))
    errors = []
    for effort in range(MOST_EFFORT + 1):
        stream = shipped.encode(image, Rate(max_bytes=budget, effort=effort))
        assert 0.9 * budget <= len(stream) <= budget  # a step of quality is 2 % of so few bytes
        errors.append(squared_error(shipped, image, stream))
    assert errors[-1] < errors[0]


@pytest.mark.parametrize("effort", range(1, MOST_EFFORT + 1))
@pytest.mark.parametrize(("height", "width"), [(1, 1), (70, 100), (128, 64)])
def test_streams_of_an_effort_are_as_all_others(codec: Codec, effort: int, height: int, width: int) -> None:
    image = photo(height, width)
    for quality in (1.0, 5.5, 8.0):
        stream = codec.encode(image, Rate(quality=quality, effort=effort))
        assert codec.decode(stream).shape == image.shape
        assert parse(stream).quality_code == quality_code(codec, image, quality)
        assert stream[4] == VERSION
        assert inspect(stream).model_digest == codec.model_digest


def quality_code(codec: Codec, image: Image, quality: float) -> int:
    """Return the quality code of a stream without effort: of a thin picture it may be a lower one than was asked."""
    return parse(codec.encode(image, quality=quality)).quality_code


def test_an_effort_writes_the_same_bytes_again_and_in_company(codec: Codec) -> None:
    images = [photo(64, 128, seed) for seed in range(3)]
    rate = Rate(quality=4.0, effort=1)
    alone = [codec.encode(image, rate) for image in images]
    assert codec.encode_batch(images, rate) == alone
    assert [Codec.load("tiny-random").encode(image, rate) for image in images] == alone
    assert alone[0] != codec.encode(images[0], quality=4.0)


def test_every_strip_of_a_large_picture_is_improved(codec: Codec) -> None:
    image = photo(320, 16384)  # rows of 256 are a strip
    assert inspect(codec.encode(image, Rate(quality=1.0))).strips == 2
    timings = StageTimings()
    stream = codec.encode(image, Rate(quality=1.0, effort=1), timings=timings)
    assert timings.seconds["effort"] > 0
    assert codec.decode(stream).shape == image.shape


@pytest.mark.parametrize("budget", [600, 1500, 6000])
@pytest.mark.parametrize("effort", range(1, MOST_EFFORT + 1))
def test_no_budget_is_exceeded(codec: Codec, budget: int, effort: int) -> None:
    image = photo(100, 150)
    try:
        assert len(codec.encode(image, Rate(max_bytes=budget, effort=effort))) <= budget
    except BudgetError:
        with pytest.raises(BudgetError):
            codec.encode(image, Rate(max_bytes=budget))


@pytest.mark.parametrize("effort", [-1, MOST_EFFORT + 1, 1.0, True, "2", None])
def test_another_effort_is_an_error_with_a_name(effort: object) -> None:
    with pytest.raises(EffortError, match=f"from 0 to {MOST_EFFORT}"):
        Rate(effort=effort)  # type: ignore[arg-type]
    assert issubclass(EffortError, RequestError)


def test_a_model_without_gradients_takes_no_effort() -> None:
    published = Codec.load("tinylic-tiny-random")
    assert published.most_effort == 0
    with pytest.raises(EffortError, match=r"takes effort 0\.\.0, got 1"):
        published.encode(photo(64, 64), Rate(effort=1))


def test_effort_needs_nothing_from_its_caller() -> None:
    """Whatever a caller has said of gradients, effort takes its own, and leaves none behind."""
    codec, model, _ = parts("tiny-random")
    image = photo(64, 64)
    expected = codec.encode(image, Rate(effort=1))
    for mode in (torch.no_grad(), torch.inference_mode(), torch.enable_grad()):
        with mode:
            assert codec.encode(image, Rate(effort=1)) == expected
    assert all(parameter.grad is None for parameter in model.parameters())


def test_prices_are_those_of_the_tables() -> None:
    tables = gaussian_tables()
    pricing = Pricing(tables, skip=True, device=torch.device("cpu"))
    indexes = torch.tensor([0.0, 30.0, 30.0, 30.0])
    bits = pricing.bits(torch.tensor([0.0, 0.0, 1.0, -1.0]), indexes)
    row, middle = tables.cdf[30], tables.bounds[30]
    assert bits[0] == 0
    for number, cell in ((1, middle), (2, middle + 1), (3, middle - 1)):
        assert bits[number] == pytest.approx(16 - np.log2(row[cell + 1] - row[cell]))
    assert pricing.slope(torch.tensor([-0.3]), indexes[1:2]) == bits[1] - bits[2]
    far = torch.tensor([0.6, -0.6, 1.4, 0.4])
    several = indexes[1:2].expand(4)
    assert pricing.cheaper(far, several, torch.zeros(4)).tolist() == [1, -1, 1, 0]
    assert pricing.cheaper(far, several, torch.full((4,), 1e9)).tolist() == [0, 0, 0, 0]


def test_what_is_measured_of_a_model_is_measured_alike_each_time() -> None:
    _, model, coder = parts("tiny-random")
    first, second = (Effort(model, coder).terrain(50) for _ in range(2))
    assert torch.equal(first.curvature, second.curvature)
    assert bool((first.curvature > 0).all())
    assert float(first.steepest) >= 1
