"""Products by oneDNN are those of PyTorch's own layer, and those of integers are exact."""

import os
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F

from manypath.precision import multiplies_bfloat16
from manypath.products import Linear, fused, linear, packed

DTYPES = [torch.float32, torch.bfloat16]


def drawn(*shape: int, dtype: torch.dtype) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape))).to(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(7,), (1, 3, 5), (2, 4, 6)])
@torch.no_grad()
def test_a_product_with_all_that_may_follow_is_the_plain_layers(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    x, weight, bias = drawn(*shape, 24, dtype=dtype), drawn(10, 24, dtype=dtype), drawn(10, dtype=dtype)
    plus = drawn(*shape, 10, dtype=dtype)
    plain = F.linear(x.double(), weight.double(), bias.double())
    expected = {
        "plain": (linear(x, weight, bias), plain),
        "rectified": (linear(x, weight, bias, slope=0.1), F.leaky_relu(plain, 0.1)),
        "added": (linear(x, weight, bias, plus=plus), plain + plus.double()),
        "no bias": (linear(x, weight), plain - bias.double()),
    }
    close = {"atol": 1e-5, "rtol": 1e-5} if dtype == torch.float32 else {"atol": 0.1, "rtol": 0.02}
    for name, (found, wanted) in expected.items():
        assert found.dtype == dtype, name
        assert torch.allclose(found.double(), wanted, **close), name


@pytest.mark.parametrize("dtype", DTYPES)
@torch.no_grad()
def test_a_packed_weight_gives_what_the_weight_gives_and_a_layer_follows_its_own(dtype: torch.dtype) -> None:
    x, layer = drawn(3, 50, 24, dtype=dtype), Linear(24, 10).requires_grad_(False).to(dtype)
    close = {"atol": 1e-5, "rtol": 1e-5} if dtype == torch.float32 else {"atol": 0.1, "rtol": 0.02}
    for _ in range(2):
        wanted = F.linear(x.double(), layer.weight.double(), layer.bias.double())
        for found in (linear(x, packed(layer.weight), layer.bias), layer(x), layer(x)):
            assert torch.allclose(found.double(), wanted, **close)
        layer.weight.mul_(3.0)


def test_a_layer_of_kept_weights_still_learns_and_is_read_under_autocast() -> None:
    layer, x = Linear(8, 4).requires_grad_(False), torch.ones(2, 8)
    with torch.no_grad():
        computed = layer(x)
        with torch.autocast("cpu", torch.bfloat16):
            assert layer(x).dtype == torch.bfloat16
    layer.requires_grad_(True)
    assert torch.allclose(layer(x), computed)
    layer(x).sum().backward()
    assert layer.weight.grad is not None


@torch.no_grad()
def test_products_of_integers_are_exact() -> None:
    generator = torch.Generator().manual_seed(1)
    x = torch.randint(0, 256, (1, 1000, 384), generator=generator)
    weight = torch.randint(-127, 128, (192, 384), generator=generator)
    plus = torch.randint(-(2**20), 2**20, (1, 1000, 192), generator=generator)
    found = linear(x.float(), weight.float(), plus=plus.float())
    assert torch.equal(found.long(), plus + x @ weight.T)


def test_gradients_and_autocast_take_the_plain_way() -> None:
    layer, x = Linear(8, 4), torch.ones(2, 8)
    with torch.no_grad():
        computing = fused(x, layer.weight)
        with torch.autocast("cpu", torch.bfloat16):
            assert not fused(x, layer.weight)
            assert layer(x).dtype == torch.bfloat16
        assert not fused(x.double(), layer.weight.double())
        half = x.bfloat16(), layer.weight.bfloat16()
        assert fused(*half) == (computing and multiplies_bfloat16(torch.device("cpu")))
    layer(x).sum().backward()
    assert layer.weight.grad is not None
    assert layer.rectified(x, 0.1).grad_fn is not None


@pytest.mark.parametrize("kept_to", ["SSE41", "AVX2", "AVX2_VNNI", "AVX512_CORE_VNNI", "avx2"])
def test_where_onednn_is_kept_from_bfloat16_a_codec_computes_in_float32_by_itself_and_in_bfloat16_if_asked(
    kept_to: str,
) -> None:
    code = """if True:
        import numpy as np
        from manypath.codec import Codec
        for dtype in ("auto", "bfloat16"):
            codec = Codec.load("tiny-random-sides", dtype=dtype)
            codec.decode(codec.encode(np.zeros((64, 64, 3), np.uint8)), path="mse")
            print(next(codec._model.g_s.groups.parameters()).dtype)
    """
    environment = {**os.environ, "ONEDNN_MAX_CPU_ISA": kept_to}
    said = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert said.stdout.split() == ["torch.float32", "torch.bfloat16"], said.stderr
