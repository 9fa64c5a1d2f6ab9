"""The entropy path's layers are integers in disguise, frozen as they were trained."""

import pytest
import torch

from manypath.entropy.integer import (
    FRACTION,
    SIGNED,
    UNSIGNED,
    IntegerDepthwise,
    IntegerGain,
    IntegerLinear,
    IntegerOffset,
    mantissa,
    on_grid,
)
from manypath.errors import CheckpointError


def test_a_float32_layer_equals_integer_arithmetic() -> None:
    torch.manual_seed(0)
    layer = IntegerLinear(300, 40)
    x = torch.randint(0, 256, (7, 300)).float() / 2**FRACTION
    stored = layer.integers()
    sums = (x * 2**FRACTION).long() @ stored["weight"].long().T + stored["bias"].long()
    unit = torch.exp2(stored["shift"].double() + FRACTION)
    with torch.no_grad():
        assert torch.equal(layer(x).double(), sums.double() / unit)


def test_freezing_changes_nothing() -> None:
    torch.manual_seed(1)
    for layer, x in (
        (IntegerLinear(24, 16), torch.randint(-127, 128, (5, 24)).float() / 32),
        (IntegerDepthwise(6, 2), torch.randint(-127, 128, (1, 5, 4, 6)).float() / 32),
    ):
        with torch.no_grad():
            trained = layer(x)
            layer.load_integers(**layer.integers())
            assert torch.equal(layer(x), trained)


def test_freezing_a_gain_and_an_offset_changes_nothing() -> None:
    code = torch.tensor([0, 13, 224])
    for layer in (IntegerGain(5, 1.3), IntegerOffset(5)):
        torch.nn.init.normal_(layer.gain.log2)
        with torch.no_grad():
            trained = layer(code)
            layer.load_integers(**layer.integers())
            assert torch.equal(layer(code), trained)


def test_sums_that_float32_could_not_hold_are_refused() -> None:
    layer = IntegerLinear(1200, 2)
    stored = layer.integers()
    stored["weight"] = torch.full_like(stored["weight"], 127)
    with pytest.raises(CheckpointError, match="2\\^24"):
        layer.load_integers(**stored)


def test_a_gain_of_more_than_eight_bits_is_refused() -> None:
    layer = IntegerGain(3)
    with pytest.raises(CheckpointError, match="8 bits"):
        layer.load_integers(torch.full((225, 3), 1.0 + 2.0**-12))


def test_the_grid_rounds_half_to_even_and_clamps() -> None:
    x = torch.tensor([0.5, 1.5, 2.5, -0.5, 300.0, -300.0]) / 32
    assert (on_grid(x, SIGNED) * 32).tolist() == [0, 2, 2, 0, 127, -127]
    assert (on_grid(x, UNSIGNED) * 32).tolist() == [0, 2, 2, 0, 255, 0]


def test_a_mantissa_has_eight_significant_bits() -> None:
    x = torch.rand(1000, generator=torch.Generator().manual_seed(5)) * 100 + 1e-3
    rounded = mantissa(x)
    assert torch.allclose(rounded, x, rtol=2**-8)
    assert torch.equal(rounded.to(torch.bfloat16).float(), rounded)
