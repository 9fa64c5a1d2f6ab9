"""Integer entropy parameters of a published model: what its floats compute, and the same everywhere."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from manypath import checkpoint
from manypath.codec import Codec
from manypath.convert.quantise import quantised
from manypath.entropy.schedule import Step
from manypath.errors import CheckpointError, ConfigError, ModelMismatchError
from manypath.network import Network
from manypath.testing import random_model
from manypath.tinylic.config import PUBLISHED_SIDES
from manypath.tinylic.context import ContextModel
from manypath.tinylic.fixed_hyper import FixedHyperSynthesis, neighbours
from manypath.tinylic.fixed_point import (
    EXACT,
    LIMIT,
    UNIT,
    FixedAffine,
    FixedConstant,
    FixedConv,
    FixedExp,
    FixedGain,
    FixedGelu,
    FixedLinear,
    FixedUp,
    fixed_norm,
    on_grid,
)
from manypath.tinylic.hyper import HyperSynthesis
from manypath.tinylic.layers import NeighbourhoodMixer
from manypath_cli.main import main
from tests.codec.conftest import photo
from tests.tinylic.conftest import code_of, relative_error

CLOSE = 2.0**-11  # two steps: one result rounded here, one there


def values(*shape: int, spread: float = 1.0) -> Tensor:
    """Return random float64 values on the grid."""
    return on_grid(torch.randn(*shape, dtype=torch.float64) * spread)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(3)


@pytest.fixture(scope="module")
def released() -> checkpoint.Released:
    return random_model("tinylic-tiny", sides=PUBLISHED_SIDES)


@pytest.fixture(scope="module")
def file(released: checkpoint.Released, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "integer.safetensors"
    path.write_bytes(quantised(released))
    return path


@pytest.fixture(scope="module")
def integer(file: Path) -> Codec:
    return Codec.load(file)


@torch.inference_mode()
def test_a_convolution_computes_what_the_float_one_does() -> None:
    layer = nn.Conv2d(9, 14, 5, padding=2).double()
    fixed = FixedConv(9, 14, 5)
    fixed.quantise(layer.weight.permute(0, 2, 3, 1), layer.bias)
    x = values(2, 6, 11, 9, spread=3.0)
    expected = layer(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    assert float((fixed(x) - expected).abs().max()) < CLOSE


@torch.inference_mode()
def test_an_upsampling_computes_what_the_float_one_does() -> None:
    layer = nn.ConvTranspose2d(6, 10, 3, stride=2, padding=1, output_padding=1).double()
    fixed = FixedUp(6, 10)
    fixed.quantise(layer.weight.permute(1, 2, 3, 0), layer.bias)
    x = values(2, 4, 7, 6, spread=3.0)
    expected = layer(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    assert float((fixed(x) - expected).abs().max()) < CLOSE


@torch.inference_mode()
@pytest.mark.parametrize("spread", [0.01, 1.0, 300.0])
def test_normalising_gives_what_layer_norm_gives(spread: float) -> None:
    x = values(5, 7, 48, spread=spread)
    assert float((fixed_norm(x) - F.layer_norm(x, (48,))).abs().max()) < (0.05 if spread < 0.1 else 2 * CLOSE)


def test_a_mean_that_lies_between_two_values_goes_up() -> None:
    steps = torch.tensor([[0.0, 1.0], [-1.0, 0.0]], dtype=torch.float64)  # their means are halves of a step
    centred = torch.tensor([[-1.0, 0.0], [-1.0, 0.0]], dtype=torch.float64) / UNIT
    assert fixed_norm(steps / UNIT).equal(on_grid(centred / math.sqrt(0.5 / UNIT**2 + 1e-5)))


@torch.inference_mode()
def test_looked_up_functions_are_the_functions() -> None:
    gelu, exp = FixedGelu(), FixedExp()
    gelu.quantise()
    exp.quantise()
    x = torch.cat((values(4096, spread=4.0), torch.tensor([-4096.0, -8.0, 0.0, 8.0, 4096.0], dtype=torch.float64)))
    assert float((gelu(x) - F.gelu(x)).abs().max()) <= 0.5 / UNIT + 1e-12
    below = -x.abs()
    assert float((exp(below) * 2.0**-24 - torch.exp(below)).abs().max()) < 2e-7


@torch.inference_mode()
@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 5), (3, 4), (9, 6)])
def test_a_token_sees_the_window_that_attention_shows_it(height: int, width: int) -> None:
    mixer = NeighbourhoodMixer(16, 16, 3)
    nn.init.eye_(mixer.qkv.weight[32:])  # values are the normalised tokens themselves
    nn.init.zeros_(mixer.qkv.weight[:32])  # and every key is as good as any other
    nn.init.zeros_(mixer.bias)
    x = torch.randn(1, height, width, 16)
    keys, _ = neighbours(height, width, 3, torch.device("cpu"))
    expected = mixer.norm(x).flatten(1, 2)[:, keys].mean(2).view(1, height, width, 16)
    assert torch.allclose(mixer.hidden(x), expected, atol=1e-5)


def test_sums_at_the_limit_are_exact() -> None:
    layer = FixedLinear(512, 1)
    weight = torch.randint(-(2**17), 2**17, (1, 512), dtype=torch.int32)
    layer.load_stored(weight, torch.tensor([20], dtype=torch.int8), torch.tensor([7]))
    x = torch.where(torch.rand(512) < 0.5, -LIMIT, LIMIT).double() - values(512).abs() * (torch.rand(512) < 0.5)
    x = on_grid(x)
    wanted = sum(int(w) * int(v) for w, v in zip(weight[0].tolist(), (x * UNIT).tolist(), strict=True)) + 7
    exact = float(F.linear(x, layer.weight, layer.bias)) * 2.0 ** (20 + 12)
    assert int(exact) == wanted
    assert abs(wanted) < EXACT


@pytest.mark.parametrize(
    ("weight", "shift", "bias"),
    [
        (torch.full((1, 4), 2**28, dtype=torch.int32), 0, 0),
        (torch.ones(1, 4, dtype=torch.int32), 0, EXACT),
        (torch.ones(1, 4, dtype=torch.int32), 25, 0),
        (torch.ones(1, 4, dtype=torch.int32), -1, 0),
        (torch.ones(1, 5, dtype=torch.int32), 0, 0),
        (torch.full((1, 4), 0.5), 0, 0),
        (torch.ones(1, 4, dtype=torch.int32), 0, -(2**63)),
        (torch.tensor([[2**62, 2**62, -(2**63), 0]]), 0, 0),
    ],
)
def test_stored_layers_that_could_not_be_exact_are_refused(weight: Tensor, shift: int, bias: int) -> None:
    with pytest.raises(CheckpointError):
        FixedAffine(4, 1).load_stored(weight, torch.tensor([shift], dtype=torch.int8), torch.tensor([bias]))


def test_the_least_integer_of_a_type_is_refused_for_a_value_and_in_a_table() -> None:
    least = torch.tensor(-(2**31), dtype=torch.int32)
    for layer in (FixedConstant(3), FixedGelu()):
        (stored,) = layer.stored().values()
        stored[1] = least
        with pytest.raises(CheckpointError):
            layer.load_stored(stored)


def test_weights_too_large_for_fixed_point_are_refused() -> None:
    with pytest.raises(CheckpointError, match="too large"):
        FixedLinear(4, 1).quantise(torch.full((1, 4), 1e9), None)


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf"), 1.0 + 2.0**-20])
def test_gains_that_are_none_are_refused(value: float) -> None:
    gain = FixedGain(3)
    table = gain.stored()["table"]
    table[5, 1] = value
    with pytest.raises(CheckpointError):
        gain.load_stored(table)


@torch.inference_mode()
def _entropy(model: Network, symbols: Tensor, code: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return features, means and logarithms of scales where every latent is its mean, rounded."""
    means, scales = [], []

    def visit(_step: Step, _where: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
        means.append(mean.double().flatten())
        scales.append(scale.double().log().flatten())
        return torch.round(mean)

    assert isinstance(model.context, ContextModel)
    features = model.h_s(symbols, code)
    model.context.walk(features, visit)
    return features.double(), torch.cat(means), torch.cat(scales)


def test_the_published_network_keeps_its_entropy_parameters(network: Network, tmp_path: Path) -> None:
    assert isinstance(network.h_s, HyperSynthesis)
    tables = network.h_s.prior.tables()
    (tmp_path / "m.safetensors").write_bytes(quantised(checkpoint.Released(network, tables, tables, digest="")))
    model = checkpoint.load(tmp_path / "m.safetensors").model
    assert isinstance(model.h_s, FixedHyperSynthesis)
    symbols = torch.randint(-6, 7, (1, 2, 3, network.config.hyper_channels)).float()
    for quality in (1, 5.5, 8):
        floats = _entropy(network, symbols, code_of(quality))
        integers = _entropy(model, symbols, code_of(quality))
        assert relative_error(integers[0], floats[0]) < 1e-3
        assert float((integers[1] - floats[1]).abs().max()) < 0.01  # of a symbol
        apart = (integers[2] - floats[2]).abs()
        assert float(apart.max()) < 0.06  # half of what lies between two scales of the table
        assert float(apart.mean()) < 0.001


def test_a_stream_is_as_long_as_the_float_models(released: checkpoint.Released, integer: Codec) -> None:
    floats = Codec(released, "floats")
    for quality in (1.0, 4.5, 8.0):
        image = photo(192, 256)
        streams = [codec.encode(image, quality=quality) for codec in (floats, integer)]
        assert abs(len(streams[1]) / len(streams[0]) - 1) < 0.003
        made = [
            codec.decode(stream, path="mse").astype(float)
            for codec, stream in zip((floats, integer), streams, strict=True)
        ]
        assert np.abs(made[0] - made[1]).mean() < 0.5


def test_the_two_kinds_do_not_read_each_other(released: checkpoint.Released, integer: Codec) -> None:
    with pytest.raises(ModelMismatchError):
        integer.decode(Codec(released, "floats").encode(photo(64, 64)))


def test_a_batch_shares_the_networks_and_changes_no_byte(integer: Codec) -> None:
    images = [photo(64, 80, seed) for seed in range(3)]
    streams = integer.encode_batch(images, quality=5)
    assert streams == [integer.encode(image, quality=5) for image in images]
    for together, stream in zip(integer.decode_batch(streams), streams, strict=True):
        assert np.array_equal(together, integer.decode(stream))


def test_only_floats_can_be_quantised(file: Path) -> None:
    with pytest.raises(ConfigError, match="already"):
        quantised(checkpoint.load(file))
    with pytest.raises(ConfigError, match="already"):
        quantised(random_model("tiny"))


def test_a_file_is_quantised_from_the_command_line(
    released: checkpoint.Released, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given, made = tmp_path / "floats.safetensors", tmp_path / "integers.safetensors"
    given.write_bytes(
        checkpoint.to_bytes(released.model.config, checkpoint.export(released.model, released.hyper_tables))
    )
    assert main(["models", "quantise", str(given), "--output", str(made)]) == 0
    assert checkpoint.load(made).digest == checkpoint.load(file).digest
    assert main(["models", "quantise", str(made), "--output", str(tmp_path / "again.safetensors")]) != 0
    assert "already" in capsys.readouterr().err


def test_a_damaged_table_is_refused(file: Path) -> None:
    released = checkpoint.load(file)
    tensors = checkpoint.export(released.model, released.hyper_tables)
    tensors["context.gelu.table"][3] = 2**30
    with pytest.raises(CheckpointError, match="lookup"):
        checkpoint.build(released.model.config, tensors)
