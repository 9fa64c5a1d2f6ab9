"""Bytes go into the analysis and come out of the synthesis by a way of their own, and it is that of floats."""

import numpy as np
import pytest
import torch

from manypath.image import as_bytes, from_squares, to_image, to_squares, to_tensor, to_tokens
from manypath.multipath.routing import Routing
from manypath.network import Network
from tests.codec.conftest import photo
from tests.codec.parts import parts

NAMES = ["tiny-random-sides", "tinylic-tiny-random"]


@pytest.fixture(scope="module", params=NAMES)
def model(request: pytest.FixtureRequest) -> Network:
    return parts(request.param).model


def test_squares_are_tokens_of_tokens_and_become_the_picture_again() -> None:
    pixels = torch.from_numpy(np.stack([photo(64, 128, seed) for seed in range(2)]))
    squares = to_squares(pixels)
    assert torch.equal(squares, to_tokens(to_tokens(pixels, 8), 2))
    assert torch.equal(from_squares(squares), pixels)


def test_bytes_are_rounded_to_the_nearest_even_and_clamped() -> None:
    x = torch.tensor([-1e9, -0.5, 0.5, 1.5, 2.49, 2.5, 254.5, 255.5, 300.0, 1e9])
    assert as_bytes(x).tolist() == [0, 0, 0, 2, 2, 2, 254, 255, 255, 255]


@torch.inference_mode()
def test_the_latents_of_bytes_are_those_of_floats(model: Network) -> None:
    images = [photo(64, 128, seed) for seed in range(2)]
    code = model.codes(224)
    routing = model.analysis_routing(code, exact=True)
    wanted = model.g_a(torch.cat([to_tensor(image) for image in images]), code, routing)
    found = model.g_a.of_pixels(torch.from_numpy(np.stack(images)), code, routing)
    assert torch.allclose(found, wanted, atol=1e-5 * float(wanted.abs().max()))


@pytest.mark.parametrize("share", [None, 0.5])
@torch.inference_mode()
def test_the_bytes_of_a_picture_are_those_of_its_floats(model: Network, share: float | None) -> None:
    code = model.codes(100)
    y_hat = 8.0 * torch.randn(2, 4, 8, model.config.latent_channels, generator=torch.Generator().manual_seed(1))
    shared = model.shared_tokens(y_hat, code)
    side = next(iter(dict(model.config.sides)), "")
    routing = Routing(side, torch.tensor([share]), exact=True) if share and side else None
    floats = model.g_s(shared, code, routing)
    wanted = np.stack([to_image(own) for own in floats]).astype(int)
    found = model.g_s.to_pixels(shared, code, routing).numpy().astype(int)
    assert np.abs(found - wanted).max() <= 1  # where the last bit of a sum decides
    assert (found != wanted).mean() < 0.001
    assert (wanted > 0).mean() > 0.1
    assert len(np.unique(wanted)) > 100


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@torch.inference_mode()
def test_a_callers_autocast_changes_blocks_alone(dtype: str) -> None:
    model = parts("tiny-random-sides", dtype=dtype).model
    pixels, code = torch.from_numpy(photo(64, 128)[None]), model.codes(150)
    y_hat = 8.0 * torch.randn(1, 4, 8, model.config.latent_channels, generator=torch.Generator().manual_seed(1))
    routing = model.analysis_routing(code, exact=True)
    made = []
    for enabled in (False, True, False):  # what one call keeps, the next one finds
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            y = model.g_a.of_pixels(pixels, code, routing)
            made.append((y, model.g_s.to_pixels(model.shared_tokens(y_hat, code), code, None).int()))
    (y, picture), (cast_y, cast_picture), again = made
    assert torch.equal(y, again[0])
    assert torch.equal(picture, again[1])
    detail = slice(model.g_s.coarse_channels, None)
    assert cast_y.dtype == y.dtype
    assert torch.equal(cast_y[..., detail], y[..., detail])
    assert float((cast_y - y).abs().mean()) < 0.02 * float(y.abs().mean())
    assert float((cast_picture - picture).abs().float().mean()) < 2.0


@torch.inference_mode()
def test_what_is_kept_follows_weights_that_change() -> None:
    model = parts("tiny-random").model
    pixels, code = torch.from_numpy(photo(64, 64)[None]), model.codes(0)
    y_hat = torch.randn(1, 4, 4, model.config.latent_channels, generator=torch.Generator().manual_seed(2))

    def both() -> list[torch.Tensor]:
        routing = model.analysis_routing(code, exact=True)
        painted = model.g_s.to_pixels(model.shared_tokens(y_hat, code), code, None)
        return [model.g_a.of_pixels(pixels, code, routing), painted.float()]

    before = both()
    for layer in (model.g_a.embed, model.g_a.detail, model.g_s.paint, model.g_s.detail):
        layer.weight.data.mul_(2.0)
        layer.weight = torch.nn.Parameter(layer.weight.data.clone(), requires_grad=False)
    assert all(not torch.allclose(old, new) for old, new in zip(before, both(), strict=True))
