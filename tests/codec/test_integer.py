"""The entropy path's layers are integers in disguise, frozen as they were trained."""

import pytest
import torch
from torch import Tensor

from manypath.edge.integer import (
    SIGNED,
    UNSIGNED,
    IntegerDepthwise,
    IntegerGain,
    IntegerLinear,
    IntegerOffset,
    mantissa,
    on_grid,
)
from manypath.entropy.schedule import Step
from manypath.errors import CheckpointError
from manypath.testing import random_model


def test_a_float32_layer_equals_integer_arithmetic() -> None:
    torch.manual_seed(0)
    layer = IntegerLinear(300, 40)
    x = torch.randint(0, 256, (7, 300)).float()
    stored = layer.stored()
    sums = x.long() @ stored["weight"].long().T + stored["bias"].long()
    unit = torch.exp2(stored["shift"].double())
    with torch.no_grad():
        assert torch.equal(layer(x).double(), sums.double() / unit)


def test_freezing_changes_nothing() -> None:
    torch.manual_seed(1)
    for layer, x in (
        (IntegerLinear(24, 16), torch.randint(-127, 128, (5, 24)).float()),
        (IntegerDepthwise(6, 2), torch.randint(-127, 128, (1, 5, 4, 6)).float()),
    ):
        with torch.no_grad():
            trained = layer(x)
            layer.load_stored(**layer.stored())
            assert torch.equal(layer(x), trained)


def test_freezing_a_gain_and_an_offset_changes_nothing() -> None:
    code = torch.tensor([0, 13, 224])
    for layer in (IntegerGain(5, 1.3), IntegerOffset(5)):
        torch.nn.init.normal_(layer.gain.log2)
        with torch.no_grad():
            trained = layer(code)
            layer.load_stored(**layer.stored())
            assert torch.equal(layer(code), trained)


def test_sums_that_float32_could_not_hold_are_refused() -> None:
    layer = IntegerLinear(1200, 2)
    stored = layer.stored()
    stored["weight"] = torch.full_like(stored["weight"], 127)
    with pytest.raises(CheckpointError, match="2\\^24"):
        layer.load_stored(**stored)


@pytest.mark.parametrize(("name", "value"), [("weight", -(2**7)), ("bias", -(2**31)), ("bias", -(2**63))])
def test_integers_whose_magnitude_their_type_does_not_hold_are_refused(name: str, value: int) -> None:
    """Such a weight times 255 counted as a negative sum, so that others could go beyond 2^24 unseen."""
    layer = IntegerLinear(1200, 2)
    stored = layer.stored()
    if value == -(2**63):
        stored[name] = stored[name].long()
    stored[name][0] = value
    with pytest.raises(CheckpointError, match="weights go from -127 to 127"):
        layer.load_stored(**stored)


def test_floats_are_refused_for_integers() -> None:
    layer = IntegerLinear(4, 2)
    stored = layer.stored()
    with pytest.raises(CheckpointError, match="must be integers"):
        layer.load_stored(**{**stored, "weight": stored["weight"] + 0.5})


def test_a_gain_of_more_than_eight_bits_is_refused() -> None:
    layer = IntegerGain(3)
    with pytest.raises(CheckpointError, match="8 bits"):
        layer.load_stored(torch.full((225, 3), 1.0 + 2.0**-12))


def test_the_grid_rounds_half_to_even_and_clamps() -> None:
    x = torch.tensor([0.5, 1.5, 2.5, -0.5, 300.0, -300.0])
    for training in (True, False):
        with torch.set_grad_enabled(training):
            assert on_grid(x.clone(), SIGNED).tolist() == [0, 2, 2, 0, 127, -127]
            assert on_grid(x.clone(), UNSIGNED).tolist() == [0, 2, 2, 0, 255, 0]


def test_filters_come_out_filter_by_filter() -> None:
    torch.manual_seed(6)
    layer = IntegerDepthwise(3, 2)
    x = torch.randint(-127, 128, (1, 4, 5, 3)).float()
    weight, bias = layer.quantised()
    channel_by_channel = torch.nn.functional.conv2d(x.permute(0, 3, 1, 2), weight, bias, padding=1, groups=3)
    expected = channel_by_channel.permute(0, 2, 3, 1)
    assert torch.equal(layer(x), layer.as_it_comes_out(expected, 3))
    assert torch.equal(layer(x)[..., 3], expected[..., 1])  # the second filter of the first channel


def test_training_walks_the_schedule_with_the_codecs_own_integers() -> None:
    """With gradients the layers make new tensors, without they work in place: nothing else may differ."""
    model = random_model("tiny").model
    random = torch.Generator().manual_seed(8)
    z = torch.randint(-9, 10, (2, 2, 3, 8), generator=random).float()
    code = torch.tensor([77, 77])
    seen: list[list[Tensor]] = []
    for training in (True, False):
        noted: list[Tensor] = []

        def visit(_step: Step, where: Tensor, means: Tensor, indexes: Tensor, noted: list[Tensor] = noted) -> Tensor:
            noted.extend((means.clone(), indexes.clone()))
            return means + (where % 5)[:, None] - 2.0

        with torch.set_grad_enabled(training):
            noted.append(model.context.walk(model.h_s(z, code), code, visit))
        seen.append(noted)
    assert all(torch.equal(one, other) for one, other in zip(*seen, strict=True))


def test_a_mantissa_has_eight_significant_bits() -> None:
    x = torch.rand(1000, generator=torch.Generator().manual_seed(5)) * 100 + 1e-3
    rounded = mantissa(x)
    assert torch.allclose(rounded, x, rtol=2**-8)
    assert torch.equal(rounded.to(torch.bfloat16).float(), rounded)
