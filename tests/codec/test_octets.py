"""Products of bytes give the integers that float32 gives, and are only made where that is so."""

import copy
import os
import pickle
import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import Tensor

from manypath import octets as octets_module
from manypath.edge.integer import (
    FRACTION,
    SIGNED,
    UNSIGNED,
    IntegerAffine,
    IntegerDepthwise,
    IntegerLinear,
    on_grid,
)
from manypath.edge.model import EdgeNetwork
from manypath.entropy.coder import Checksum
from manypath.entropy.schedule import Step
from manypath.octets import CENTRE, counted_from_centre, depthwise, exact, floats, octets, served
from manypath.testing import random_model
from manypath.timings import StageTimings
from tests.codec.parts import parts

needs_vnni = pytest.mark.skipif(not exact(), reason="bytes are not multiplied here")
LINEAR = [
    (64, 512),
    (128, 512),
    (128, 128),
    (128, 192),
    (160, 192),
    (256, 192),
    (512, 192),
    (192, 32),
    (192, 384),
    (7, 5),
]
CHANNELS = [(128, 1), (16, 2), (64, 2), (192, 2), (3, 2)]


def frozen(layer: IntegerAffine, largest: bool) -> None:
    """Freeze a layer to what it has, or to weights of 127 and -127."""
    torch.nn.init.normal_(layer.bias)
    stored = layer.stored()
    if largest:
        stored["weight"] = 127 * (1 - 2 * torch.randint(0, 2, stored["weight"].shape)).to(torch.int8)
        stored["weight"][: len(stored["weight"]) // 2] = 127
    layer.load_stored(**stored)


def inputs(bounds: tuple[int, int], *shape: int) -> list[Tensor]:
    low, high = bounds
    ends = torch.where(torch.rand(shape) < 0.5, float(low), float(high))
    return [
        torch.full(shape, float(low)),
        torch.full(shape, float(high)),
        ends,
        torch.randint(low, high + 1, shape).float(),
    ]


@needs_vnni
@pytest.mark.parametrize("largest", [False, True])
@pytest.mark.parametrize(("width", "outputs"), LINEAR)
@torch.no_grad()
def test_a_linear_layer_gives_float32s_integers(width: int, outputs: int, largest: bool) -> None:
    for seed in range(3):
        torch.manual_seed(seed)
        layer = IntegerLinear(width, outputs)
        frozen(layer, largest)
        for signed in (0, width // 3, width):
            packed, bias = layer.packed(signed)
            for rows in (1, 96, 768):
                pairs = zip(inputs(UNSIGNED, 1, rows, width - signed), inputs(SIGNED, 1, rows, signed), strict=True)
                for unsigned, other in pairs:
                    x = torch.cat((unsigned.to(torch.uint8), counted_from_centre(other)), -1)
                    sums = layer(torch.cat((unsigned, other), -1))
                    assert torch.equal(floats(x, packed, bias), sums)
                    assert torch.equal(octets(x, packed, bias).float(), on_grid(sums, UNSIGNED))


@needs_vnni
@pytest.mark.parametrize("largest", [False, True])
@pytest.mark.parametrize(("channels", "multiplier"), CHANNELS)
@torch.no_grad()
def test_a_depthwise_layer_gives_float32s_integers(channels: int, multiplier: int, largest: bool) -> None:
    for seed in range(3):
        torch.manual_seed(seed)
        layer = IntegerDepthwise(channels, multiplier)
        frozen(layer, largest)
        for centre, bounds in ((0, UNSIGNED), (CENTRE, SIGNED)):
            packed, bias = layer.packed(centre)
            for shape in ((1, 8, 12), (2, 5, 3), (1, 1, 1), (1, 32, 48)):
                for x in inputs(bounds, *shape, channels):
                    given = x.to(torch.uint8) if centre == 0 else counted_from_centre(x)
                    found = depthwise(torch.cat((given,) * multiplier, -1), packed, bias, centre)
                    assert torch.equal(found.float() - CENTRE, on_grid(layer(x), SIGNED))


@needs_vnni
@torch.no_grad()
def test_halves_go_to_even_and_what_is_beyond_a_byte_to_its_ends() -> None:
    layer = IntegerLinear(1, 4)
    layer.load_stored(
        torch.tensor([[1], [-1], [127], [-127]], dtype=torch.int8),
        torch.tensor([1, 1, 0, 0], dtype=torch.int8),
        torch.tensor([0, 3, 0, 0], dtype=torch.int32),
    )
    x = torch.arange(256).float()[:, None]
    packed, bias = layer.packed()
    found = octets(x.to(torch.uint8), packed, bias)
    assert torch.equal(found.float(), on_grid(layer(x), UNSIGNED))
    assert found[1:6, 0].tolist() == [0, 1, 2, 2, 2]


def noted(model: EdgeNetwork, z: Tensor, code: Tensor, *, by_floats: bool) -> list[Tensor]:
    """Return features, means, indexes and y_hat of a walk; with gradients wanted, float32 is multiplied."""
    with torch.set_grad_enabled(by_floats):
        features = model.h_s(z, code)
        notes = [features.clone()]

        def visit(step: Step, where: Tensor, means: Tensor, indexes: Tensor) -> Tensor:
            notes.extend((means.clone(), indexes.clone()))
            jump = 3000.0 * ((where % 97) == step.number)  # some latents beyond what later steps are shown
            return means + ((where * 7) % 5 - 2.0 + jump)[:, None]

        return [*notes, model.walk(features, code, visit)]


@needs_vnni
@pytest.mark.parametrize("name", ["edge", "tiny-random"])
@pytest.mark.parametrize("code", [[0], [96], [131, 131], [224], [10, 200]])
def test_a_walk_gives_float32s_means_and_indexes(name: str, code: list[int]) -> None:
    model = parts(name).model
    assert isinstance(model, EdgeNetwork)
    codes = torch.tensor(code)
    for seed, largest in enumerate((2, 20, 127)):
        random = torch.Generator().manual_seed(seed)
        shape = (len(code), 3, 4, model.config.hyper_channels)
        z = torch.randint(-largest, largest + 1, shape, generator=random).float()
        one, other = noted(model, z, codes, by_floats=False), noted(model, z, codes, by_floats=True)
        assert all(torch.equal(*pair) for pair in zip(one, other, strict=True))


@pytest.mark.parametrize("quality_code", [0, 131, 224])
def test_streams_of_either_way_are_equal_and_read_by_the_other(quality_code: int) -> None:
    made = parts("edge")
    width = made.codec.config.latent_channels
    y = 6.0 * torch.randn(2, 8, 12, width, generator=torch.Generator().manual_seed(quality_code))
    code = torch.tensor([quality_code] * 2)
    written, read = [], []
    for by_floats in (False, True):
        with torch.set_grad_enabled(by_floats):
            written.append(made.coder.encode(y, code, [Checksum(), Checksum()], StageTimings()))
    assert written[0] == written[1]
    for by_floats in (False, True):
        with torch.set_grad_enabled(by_floats):
            sums = [Checksum(), Checksum()]
            read.append(made.coder.decode(written[0], code, (8, 12), checksums=sums, timings=StageTimings()))
    assert torch.equal(*read)


def test_gradients_and_several_qualities_take_float32() -> None:
    with torch.no_grad():
        assert served(torch.tensor([7])) == served(torch.tensor([7, 7])) == exact()
        assert not served(torch.tensor([7, 8]))
    assert not served(torch.tensor([7]))


def test_layers_that_learn_and_offsets_that_leave_no_room_are_not_packed() -> None:
    model = random_model("tiny").model
    assert isinstance(model, EdgeNetwork)
    step = model.context.steps[2]
    with torch.no_grad():
        assert step.packed() is not None
        step.offset.table = step.offset.table + 2.0**24 / float(step.hidden.unit.max()) / 2.0**FRACTION
        assert step.packed() is None
        model.context.steps[1].output.frozen = False
        assert model.context.steps[1].packed() is None


def test_a_model_that_has_coded_is_copied_and_pickled() -> None:
    made = parts("tiny-random")
    with torch.inference_mode():
        y = torch.randn(1, 4, 4, made.codec.config.latent_channels, generator=torch.Generator().manual_seed(1))
        code, z = torch.tensor([131]), torch.ones(1, 2, 2, made.codec.config.hyper_channels)
        made.coder.encode(y, code, [Checksum()], StageTimings())
        expected = made.model.h_s(z, code)
        pickled = pickle.loads(pickle.dumps(made.model))  # noqa: S301
        for other in (copy.deepcopy(made.model), pickled, made.model.to("cpu")):
            assert torch.equal(other.h_s(z, code), expected)


@needs_vnni
@pytest.mark.parametrize("kernel", ["floats", "floats_plus", "octets", "depthwise", "depthwise with a zero point"])
def test_each_kernel_that_errs_by_one_is_found(kernel: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As oneDNN's on another processor might: this one's are right."""
    name = kernel.split(maxsplit=1)[0]
    right, called = getattr(octets_module, name), []

    def wrong(*args: Any) -> Tensor:
        made: Tensor = right(*args)
        if kernel == name or args[-1] == CENTRE:
            called.append(kernel)
            made.view(-1)[7] += -1 if made.view(-1)[7] else 1
        return made

    assert octets_module.largest_come_out_right()
    monkeypatch.setattr(octets_module, name, wrong)
    assert not octets_module.largest_come_out_right()
    assert called


@needs_vnni
@pytest.mark.parametrize("kept_to", ["SSE41", "AVX2", "AVX512_CORE"])
def test_what_onednn_multiplies_without_vnni_is_found_wrong(kept_to: str) -> None:
    """The feature is missing from the name alone, so the products themselves are looked at here."""
    look = "from manypath import octets; print(octets.exact(), octets.largest_come_out_right())"
    environment = {**os.environ, "ONEDNN_MAX_CPU_ISA": kept_to}
    said = subprocess.run([sys.executable, "-c", look], env=environment, capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["False", "False"]
