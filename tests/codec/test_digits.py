"""Two digits of a byte each stand for a weight nearly as well as float32 does."""

import numpy as np
import pytest
import torch

from manypath.digits import digits, product
from manypath.octets import exact
from tests.codec.conftest import photo
from tests.codec.parts import parts

pytestmark = pytest.mark.skipif(not exact(), reason="bytes are not multiplied here")


@pytest.mark.parametrize("shape", [(3, 50), (7,), (2, 4, 6)])
def test_a_product_in_digits_is_that_of_the_weights_in_steps_of_the_largest(shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(1)
    x = torch.randint(0, 256, (*shape, 192), generator=generator, dtype=torch.uint8)
    weight, bias = torch.randn(40, 192, generator=generator), torch.randn(40, generator=generator)
    weight[0], weight[1, 0], weight[2] = 0.0, 50.0, -weight[2].abs()
    wanted = x.double() @ weight.double().T + bias.double()
    found = product(x, digits(weight, bias))
    step = weight.abs().amax(1) / (127 * 256)
    bound = step * x.float().sum(-1, keepdim=True) / 2 + 1e-6 * wanted.abs() + 1e-4
    assert found.dtype == torch.float32
    assert ((found - wanted).abs() <= bound).all()


def test_low_digits_of_minus_128_count_as_such() -> None:
    weight = torch.tensor([[127 * 256.0, 128.0, -128.0, 384.0]])  # in steps of one
    for x in ([0, 255, 0, 0], [0, 0, 255, 0], [0, 0, 0, 255], [1, 255, 254, 3]):
        row = torch.tensor([x], dtype=torch.uint8)
        assert float(product(row, digits(weight, torch.zeros(1)))) == float(row.double() @ weight.double().T)


def test_the_largest_bytes_and_weights_do_not_overflow() -> None:
    x, weight = torch.full((5, 768), 255, dtype=torch.uint8), torch.ones(3, 768)
    weight[1] = -1.0
    found = product(x, digits(weight, torch.zeros(3)))
    assert torch.allclose(found, torch.tensor([1.0, -1.0, 1.0]) * 255 * 768, rtol=1e-5)


@torch.inference_mode()
def test_the_analysis_in_bfloat16_takes_digits_whose_latents_are_those_of_floats() -> None:
    model = parts("tiny-random", dtype="bfloat16").model
    pixels = torch.from_numpy(np.stack([photo(64, 128, seed) for seed in range(2)]))
    for both in (model.codes(224), torch.tensor([224, 192])):  # of two qualities, bytes are not multiplied
        routing = model.analysis_routing(both[:1], exact=True)
        found = model.g_a.of_pixels(pixels, both, routing)
        wanted = model.g_a(pixels.float() / 255.0, both, routing)
        detail = slice(model.g_s.coarse_channels, None)
        assert torch.allclose(found[..., detail], wanted[..., detail], atol=1e-4 * float(wanted.abs().max()))
        assert float((found - wanted).abs().mean()) < 0.01 * float(wanted.abs().mean())
        if len(both) == 1:
            assert not torch.equal(found, wanted)
