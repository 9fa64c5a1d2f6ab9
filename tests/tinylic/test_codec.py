"""The float codec keeps the same promises: exact on one machine, guarded between machines, any size, any path."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor

from manypath import checkpoint
from manypath.bitstream import inspect
from manypath.codec import Codec
from manypath.entropy.coder import Checksum
from manypath.entropy.schedule import Step
from manypath.errors import DesyncError, ModelMismatchError
from manypath.families import build_network
from manypath.image import to_tensor
from manypath.paths import DecodePath
from manypath.rate import Rate
from manypath.testing import random_model
from manypath.timings import StageTimings
from manypath.tinylic.context import ContextModel, SliceNetwork, gaussian_bits, scale_table
from tests.codec.conftest import photo
from tests.codec.parts import parts
from tests.tinylic.conftest import code_of


@pytest.mark.parametrize(("height", "width"), [(192, 256), (64, 64), (1, 1), (70, 131), (33, 200)])
def test_any_size_comes_back_by_every_path(codec: Codec, height: int, width: int) -> None:
    image = photo(height, width)
    stream = codec.encode(image, quality=5.5)
    decoded = codec.decode_paths(stream, [(path, 0.6) for path in DecodePath])
    assert [own.shape for own in decoded] == [image.shape] * len(DecodePath)
    pictures = dict(zip(DecodePath, decoded, strict=True))
    assert not np.array_equal(pictures[DecodePath.MSE], pictures[DecodePath.PERCEPTUAL])  # it has weights of its own
    assert np.array_equal(pictures[DecodePath.DETECTION], pictures[DecodePath.PERCEPTUAL])  # and this has none
    assert inspect(stream).slices == 4


def test_a_picture_is_padded_by_repeating_its_border(codec: Codec) -> None:
    image = photo(100, 150)
    padded = np.pad(image, ((0, 28), (0, 42), (0, 0)), mode="edge")
    assert np.array_equal(codec.decode(codec.encode(image)), codec.decode(codec.encode(padded))[:100, :150])


@torch.inference_mode()
@pytest.mark.parametrize("quality", [1, 3.7, 8])
def test_decoding_gives_the_latents_that_the_estimate_gives(quality: float) -> None:
    _, model, coder = parts("tinylic-tiny-random-sides")
    code = code_of(quality)
    y = model.g_a(to_tensor(photo(128, 192)), code, model.analysis_routing(code, exact=True))
    gained = (y * model.gain(code)[:, None, None]).flatten(1, 2)

    def visit(step: Step, where: Tensor, means: Tensor, _indexes: Tensor) -> Tensor:
        return means + torch.round(gained[:, where, step.start : step.start + step.width] - means)

    features = model.h_s(model.h_s.symbols(model.hyper_latent(y, code)), code)
    estimated = model.walk(features, code, visit)
    chunks = coder.encode(y, code, [Checksum()], StageTimings())
    decoded = coder.decode(chunks, code, (8, 12), checksums=[Checksum()], timings=StageTimings())
    assert torch.equal(decoded, estimated)


def test_a_batch_gives_what_single_pictures_give(codec: Codec) -> None:
    images = [photo(64, 80, seed) for seed in range(2)]
    streams = codec.encode_batch(images, quality=5)
    assert streams == [codec.encode(image, quality=5) for image in images]
    for together, stream in zip(codec.decode_batch(streams), streams, strict=True):
        assert np.array_equal(together, codec.decode(stream))


@torch.inference_mode()
def test_the_stream_has_the_bytes_that_the_densities_promise() -> None:
    codec, model, _ = parts("tinylic-tiny-random-sides")
    code, image = code_of(1), photo(192, 256)
    assert isinstance(model.context, ContextModel)
    y = model.g_a(to_tensor(image), code, model.analysis_routing(code, exact=True))
    gained = (y * model.gain(code)[:, None, None]).flatten(1, 2)
    symbols = model.h_s.symbols(model.hyper_latent(y, code))
    prior = model.h_s.prior
    assert isinstance(prior, torch.nn.Module)
    bits = float(prior.bits(symbols + prior.medians).sum())  # type: ignore[operator]

    def visit(step: Step, where: Tensor, means: Tensor, scales: Tensor) -> Tensor:
        nonlocal bits
        own = torch.round(gained[:, where, step.start : step.start + step.width] - means)
        bits += float(gaussian_bits(own, scales).sum())
        return means + own

    model.context.walk(model.h_s(symbols, code), visit)
    stream = codec.encode(image, quality=1)
    assert len(stream) == pytest.approx(bits / 8, rel=0.02)  # header, 5 chunks' ends, 64 scales instead of all
    assert codec.bit_map(stream).sum() == pytest.approx(bits, rel=0.02)


def test_budgets_and_scores_work_as_with_any_model(codec: Codec) -> None:
    image = photo(100, 150)
    assert 0.9 * 3000 < len(codec.encode(image, Rate(max_bytes=3000))) <= 3000
    assert [own.shape for own in codec.encode_scores(image, 3)] == [(13, 19)] * 3
    made = codec.reconstruct(codec.encode(image), [("mse", 0.5)], scores=True)[0]
    assert [own.shape for own in made.scores] == [(13, 19)] * 3
    assert all(own.min() >= 0 and own.max() <= 1 for own in made.scores)


def test_a_saved_model_reads_the_streams_of_the_one_in_memory(tmp_path_factory: pytest.TempPathFactory) -> None:
    released = random_model("tinylic-tiny")
    tensors = checkpoint.export(released.model, released.hyper_tables)
    file = tmp_path_factory.mktemp("model") / "mine.safetensors"
    file.write_bytes(checkpoint.to_bytes(released.model.config, tensors))
    image = photo(64, 96)
    stream = Codec(released, "memory").encode(image)
    again = Codec.load(file)
    assert np.array_equal(again.decode(stream), Codec(released, "memory").decode(stream))
    with pytest.raises(ModelMismatchError):
        Codec.load("tiny-random").decode(stream)


def _nearest_below_a_boundary(context: object, latents: Tensor, features: Tensor) -> tuple[int, float]:
    """Return a channel of the last slice and how far below a table entry its scale lies at one position."""
    assert isinstance(context, ContextModel)
    flat, table = latents.flatten(1, 2), torch.tensor(scale_table())
    found: list[tuple[float, int]] = []

    def visit(step: Step, where: Tensor, _means: Tensor, scales: Tensor) -> Tensor:
        if step.slice == 3:
            gap = (table[torch.bucketize(scales, table).clamp_max(63)] - scales).clamp_min(0).flatten()
            place = int(gap.argmin())
            found.append((float(gap[place]), place % step.width))
        return flat[:, where, step.start : step.start + step.width]

    context.walk(features, visit)
    gap, channel = min(found)
    return channel, gap


@torch.inference_mode()
def test_a_machine_that_rounds_otherwise_is_found_out_and_not_believed() -> None:
    (writer, model, coder), (reader, other, _) = parts("tinylic-tiny-random"), parts("tinylic-tiny-random")
    image = photo(192, 256)
    stream = writer.encode(image)
    assert np.array_equal(reader.decode(stream), writer.decode(stream))
    code = code_of(4)
    y = model.g_a(to_tensor(image), code, model.analysis_routing(code, exact=True))
    symbols = model.h_s.symbols(model.hyper_latent(y, code))
    features = model.h_s(symbols, code)
    latents = coder.decode(
        coder.encode(y, code, [Checksum()], StageTimings()),
        code,
        (12, 16),
        checksums=[Checksum()],
        timings=StageTimings(),
    )
    channel, gap = _nearest_below_a_boundary(model.context, latents, features)
    assert gap < 1e-3  # one of thousands of scales lies that near to where its table changes
    network = other.context.slices[3]  # type: ignore[index, union-attr]
    assert isinstance(network, SliceNetwork)
    assert network.output.bias is not None
    network.output.bias[channel] += gap + 1e-6
    with pytest.raises(DesyncError):
        reader.decode(stream)


def test_sides_do_not_change_what_both_ends_share() -> None:
    plain = random_model("tinylic-tiny")
    tensors = checkpoint.export(plain.model, plain.hyper_tables)
    other = dataclasses.replace(plain.model.config, sides=(("vehicles", "adapter"),))
    model = build_network(other)
    added = checkpoint.export(model, plain.hyper_tables)
    together = {**added, **tensors}
    assert checkpoint.digest(together) == plain.digest
    assert checkpoint.build(other, together).digest == plain.digest
