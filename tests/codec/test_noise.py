"""The path for people sees noise that the stream alone decides: on any machine, in any type, batch, strip or thread."""

import dataclasses
import hashlib

import numpy as np
import pytest
import torch

from manypath import checkpoint
from manypath.bitstream import parse
from manypath.codec import Codec
from manypath.config import NOISE_ADAPTERS
from manypath.edge.config import TINY
from manypath.errors import ConfigError
from manypath.families import read_config
from manypath.multipath.noise import PLANES, noise_integers, noise_planes
from manypath.paths import main_path
from manypath.testing import random_model
from manypath.tinylic.config import TINYLIC_TINY
from tests.codec.conftest import photo

SIDES = (("perceptual", NOISE_ADAPTERS[0]), ("classification", "adapter"))


@pytest.fixture(scope="module")
def people() -> Codec:
    return Codec(random_model("tiny", sides=SIDES), "people", dtype="float32")


def without_noise(codec: Codec, monkeypatch: pytest.MonkeyPatch, stream: bytes) -> np.ndarray:
    with monkeypatch.context() as patch:
        patch.setattr(codec._model, "with_noise", lambda routing, *_: routing)
        return codec.decode(stream)


def test_the_noise_is_pinned_to_the_bit() -> None:
    drawn = noise_integers(0xDEADBEEF, 1000, 64, 48)
    assert drawn[0, 0].tolist() == [26, -119, 75, 1, -82, 80, 90, 78]
    assert hashlib.sha256(drawn.tobytes()).hexdigest()[:16] == "a31330170b02d7c8"


def test_the_noise_is_flat_and_neighbours_planes_and_seeds_know_nothing_of_each_other() -> None:
    drawn = noise_planes([7, 8], 0, 128, 128).double()
    assert abs(float(drawn.mean())) < 0.02
    assert float(drawn.std()) == pytest.approx(1.155, abs=0.01)
    one = drawn[0]
    pairs = [(one[1:], one[:-1]), (one[:, 1:], one[:, :-1]), (one[..., 1:], one[..., :-1]), (drawn[0], drawn[1])]
    for here, there in pairs:
        assert abs(float((here * there).mean())) < 0.02


def test_the_noise_of_a_strip_is_cut_from_that_of_the_picture() -> None:
    whole = noise_planes([3], 0, 40, 24)
    assert torch.equal(noise_planes([3], 16, 8, 24), whole[:, 16:24])
    assert torch.equal(noise_planes([3], 0, 40, 8), whole[:, :, :8])


def test_bfloat16_holds_the_noise_exactly() -> None:
    planes = noise_planes([1], 0, 64, 64)
    assert torch.equal(planes.bfloat16().float(), planes)


def test_the_stream_s_own_checksum_of_its_symbols_is_the_seed(people: Codec, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = people.encode(photo(96, 130))
    seen = []
    make = people._model.with_noise
    monkeypatch.setattr(people._model, "with_noise", lambda *given: (seen.append(given[1]), make(*given))[1])
    people.decode(stream)
    assert seen == [[parse(stream).symbols_checksum]]


def test_noise_changes_the_picture_for_people_and_no_other(people: Codec, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = people.encode(photo(96, 130))
    assert not np.array_equal(people.decode(stream), without_noise(people, monkeypatch, stream))
    main, none = people.decode_paths(stream, [("mse", 1.0), ("perceptual", 0.0)])
    assert np.array_equal(main, none)
    assert not np.array_equal(people.decode(stream), main)


def test_the_picture_is_the_same_again_in_a_batch_and_beside_other_paths(people: Codec) -> None:
    streams = [people.encode(photo(96, 130, seed)) for seed in range(3)]
    single = [people.decode(stream) for stream in streams]
    for one, again in zip(single, people.decode_batch(streams), strict=True):
        assert np.array_equal(one, again)
    beside = people.decode_paths(streams[1], [("classification", 1.0), ("perceptual", 1.0), ("mse", 1.0)])
    assert np.array_equal(beside[1], single[1])


def test_the_picture_is_the_same_on_any_number_of_threads(people: Codec) -> None:
    stream, threads = people.encode(photo(256, 256)), torch.get_num_threads()
    pictures = []
    for count in (1, 3):
        torch.set_num_threads(count)
        pictures.append(people.decode(stream).astype(int))
    torch.set_num_threads(threads)
    assert np.abs(pictures[0] - pictures[1]).max() <= 1


def test_what_a_strip_paints_does_not_depend_on_where_it_begins(people: Codec) -> None:
    model, reach = people._model, people._decoder._reach
    y_hat = torch.randn(1, 64, 8, TINY.latent_channels, generator=torch.Generator().manual_seed(2))
    code, routing = model.codes(100), people._route("perceptual", 1.0)
    assert routing is not None

    def painted(top: int, bottom: int) -> torch.Tensor:
        seen = model.with_noise(routing, [5], top, bottom - top, 128)
        with torch.no_grad():
            return model.g_s(model.shared_tokens(y_hat[:, top // 16 : bottom // 16], code), code, seen)

    part = painted(448 - reach, 512 + reach)
    assert reach < 448
    assert torch.allclose(painted(0, 1024)[:, 448:512], part[:, reach : reach + 64], atol=1e-4)


def test_a_share_of_tokens_takes_the_side_and_its_noise_with_it(people: Codec) -> None:
    stream = people.encode(photo(128, 128))
    main, half, all_of_it = people.decode_paths(stream, [("mse", 1.0), ("perceptual", 0.5), ("perceptual", 1.0)])
    assert not np.array_equal(half, main)
    assert not np.array_equal(half, all_of_it)


def test_training_and_decoding_route_noise_alike(people: Codec) -> None:
    group = people._model.g_s.groups[0]
    tokens = torch.randn(2, 16, 8, TINY.channels, generator=torch.Generator().manual_seed(1))
    code = torch.tensor([40, 40])
    routing = people._route("perceptual", 0.5)
    assert routing is not None
    planes = noise_planes([1, 2], 0, 16, 8)
    with torch.no_grad():
        exact = group(tokens.clone(), code[:1], routing._replace(planes=planes), None)
        soft = routing._replace(exact=False, share=routing.share.expand(2).float(), planes=planes)
        trained = group(tokens.clone(), code, soft, None)
    assert torch.allclose(exact, trained, atol=1e-5)


def test_a_model_file_with_noise_comes_back(people: Codec, tmp_path) -> None:
    released = random_model("tiny", sides=SIDES)
    file = tmp_path / "people.safetensors"
    file.write_bytes(
        checkpoint.to_bytes(released.model.config, checkpoint.export(released.model, released.hyper_tables))
    )
    again = Codec.load(file, dtype="float32")
    stream = people.encode(photo(64, 64))
    assert np.array_equal(again.decode(stream), people.decode(stream))
    weights = released.model.g_s.groups[0].blocks[0].side_mlps["perceptual"].noise
    assert weights is not None
    assert weights.in_features == PLANES


def test_a_model_without_a_side_for_people_serves_them_by_the_main_path() -> None:
    codec = Codec(random_model("tiny", sides=SIDES[1:]), "machines")
    stream = codec.encode(photo(64, 64))
    assert np.array_equal(codec.decode(stream), codec.decode(stream, path="mse"))
    assert codec.serves("mse")
    assert codec.serves("perceptual")
    assert (codec.main_path, main_path(["perceptual"]), main_path(["mse"])) == ("perceptual", "mse", "perceptual")
    assert codec.trained_paths == {"perceptual", "classification"}


def test_streams_do_not_change_with_a_side_for_people(people: Codec) -> None:
    released = random_model("tiny", sides=SIDES)
    tensors = checkpoint.export(released.model, released.hyper_tables)
    without = {name: tensor for name, tensor in tensors.items() if not any(f".{side}." in name for side, _ in SIDES)}
    config = dataclasses.replace(released.model.config, sides=())
    plain = Codec(checkpoint.build(config, without), "plain", dtype="float32")
    assert plain.model_digest == people.model_digest
    image = photo(96, 130)
    stream = plain.encode(image)
    assert people.encode(image) == stream
    assert np.array_equal(people.decode(stream, path="mse"), plain.decode(stream))


def test_configurations_say_what_cannot_be() -> None:
    with pytest.raises(ConfigError, match="perceptual and mse at once"):
        dataclasses.replace(TINY, sides=(("perceptual", "adapter"), ("mse", "adapter")))
    with pytest.raises(ConfigError, match="edge models alone"):
        dataclasses.replace(TINYLIC_TINY, sides=SIDES[:1])
    config = dataclasses.replace(TINY, sides=SIDES)
    assert read_config(config.to_json()) == config
