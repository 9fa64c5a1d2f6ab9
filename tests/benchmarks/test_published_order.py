"""The published order of operations gives our numbers, costs what was worked out for it, and can be raced."""

import json
from pathlib import Path

import pytest
import torch

from benchmarks.picture import photo_like
from benchmarks.published_order import __main__ as command
from benchmarks.published_order.attention import gathered_attention
from benchmarks.published_order.codec import PublishedOrder
from manypath.attention import neighbourhood_attention
from manypath.checkpoint import random_model
from manypath.config import PUBLISHED_SIDES, TINYLIC
from manypath.model import MPAModel
from manypath.transforms import Routing
from manypath_lab.profile.count import HEIGHT, WIDTH, kilomacs

IMAGE = photo_like(128, 192, 3)
X = torch.from_numpy(IMAGE).permute(2, 0, 1)[None].float() / 255


@pytest.fixture(scope="module")
def model() -> MPAModel:
    made = random_model("tinylic-tiny", sides=PUBLISHED_SIDES).model
    command.scatter_scores(made)
    return made


@pytest.mark.parametrize("quality", [1.0, 4.5, 8.0])
def test_analysis_and_symbols_are_ours(model: MPAModel, quality: float) -> None:
    published = PublishedOrder(model)
    encoded = published.encode(X, quality)
    with torch.no_grad():
        routing = model.analysis_routing(encoded.code, exact=True)
        y = model.g_a(X.permute(0, 2, 3, 1), encoded.code, routing)
        theirs = published._analysis(X, encoded.code).permute(0, 2, 3, 1)
        hyper = model.h_s.symbols(model.hyper_latent(y, encoded.code))
    assert (y - theirs).norm() < 1e-4 * y.norm()
    assert float((hyper != encoded.hyper).float().mean()) < 0.01
    assert set(published.seconds) == {"analysis", "entropy"}


@pytest.mark.parametrize(
    ("path", "share"), [("mse", 1.0), ("mse", 0.3), ("classification", 0.5), ("segmentation", 0.0)]
)
def test_what_it_decodes_is_what_it_encoded_and_ours(model: MPAModel, path: str, share: float) -> None:
    published = PublishedOrder(model)
    encoded = published.encode(X, 4.0)
    x_hat = published.decode(encoded, path, share)
    with torch.no_grad():
        shared = model.shared_tokens(published.y_hat.permute(0, 2, 3, 1), encoded.code)
        own = model.g_s(shared, encoded.code, Routing(path, torch.tensor([share]), exact=True))
    theirs = x_hat.permute(0, 2, 3, 1)
    assert (own - theirs).norm() < 1e-4 * own.norm()
    assert published.y_hat.abs().max() > 1  # something was coded


@pytest.mark.parametrize(
    ("shape", "window"),
    [((2, 7, 9, 2), 7), ((1, 21, 18, 2), 7), ((1, 5, 8, 1), 3), ((1, 3, 4, 1), 7), ((1, 16, 24, 2), 7)],
)
def test_its_attention_is_ours(shape: tuple[int, int, int, int], window: int) -> None:
    query, key, value = (torch.randn(*shape, 16) for _ in range(3))
    bias = torch.randn(shape[3], 2 * window - 1, 2 * window - 1)
    theirs = gathered_attention(query, key, value, bias, window)
    assert torch.allclose(theirs, neighbourhood_attention(query, key, value, bias, window), atol=5e-6)


def test_a_wrong_route_is_seen(model: MPAModel) -> None:
    published = PublishedOrder(model)
    encoded = published.encode(X, 4.0)
    some, other = (published.decode(encoded, "classification", share) for share in (0.5, 0.4))
    assert (some - other).norm() > 1e-4 * some.norm()


def test_the_published_order_costs_what_was_worked_out_for_it() -> None:
    published = PublishedOrder(random_model(TINYLIC.name, sides=PUBLISHED_SIDES).model)
    features = torch.zeros(1, 640, HEIGHT // 16, WIDTH // 16)
    counted = kilomacs(lambda: published.context.walk(features, lambda _step, _where, _scales, means: means))
    assert counted == pytest.approx(40.6, rel=0.01)


def test_the_command_compares_and_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "order.json"
    size = ["--width", "128", "--height", "64", "--rounds", "1"]
    assert command.main(["--model", "tinylic-tiny", *size, "--output", str(file)]) == 0
    printed = capsys.readouterr().out
    assert "synthesis, classification, rho 0.5: 0.0000 %" in printed
    timed = json.loads(file.read_text())["timed"]
    assert [one["name"] for one in timed][:2] == ["encode, quality 1", "encode, quality 4"]
    assert all(sum(one["ours"]["float32"].values()) > 0 for one in timed)


def test_pictures_that_differ_are_not_timed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PublishedOrder, "_synthesis", lambda *_args: torch.rand(1, 3, 64, 128))
    assert command.main(["--model", "tinylic-tiny", "--width", "128", "--height", "64"]) == 1
    assert "not compute the same numbers" in capsys.readouterr().err
