"""Tiled neighbourhood attention is neighbourhood attention, whatever the grid, and natten's where it is."""

import pytest
import torch
from torch import Tensor

from manypath.tinylic import attention
from manypath.tinylic.attention import find_natten, natten_attention, neighbourhood_attention, plan, tiled_attention


def one_by_one(query: Tensor, key: Tensor, value: Tensor, bias: Tensor, window: int) -> Tensor:
    """Attend token by token, by the definition."""
    b, h, w, heads, d = query.shape
    out = torch.zeros_like(query)
    for i in range(h):
        rows = window_of(i, h, window)
        for j in range(w):
            columns = window_of(j, w, window)
            keys = key[:, rows][:, :, columns].reshape(b, -1, heads, d)
            values = value[:, rows][:, :, columns].reshape(b, -1, heads, d)
            offsets = [(r - i + window - 1, c - j + window - 1) for r in rows for c in columns]
            own = torch.stack([bias[:, r, c] for r, c in offsets], -1)
            scores = torch.einsum("bhd,bkhd->bhk", query[:, i, j], keys) / d**0.5 + own
            out[:, i, j] = torch.einsum("bhk,bkhd->bhd", scores.softmax(-1), values)
    return out


def window_of(place: int, length: int, window: int) -> list[int]:
    span = min(window, length)
    start = min(max(place - window // 2, 0), length - span)
    return list(range(start, start + span))


def case(shape: tuple[int, int, int, int], window: int, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """Return query, key, value and bias for [B, h, w, heads]."""
    made = [torch.randn(*shape, 16, dtype=dtype) for _ in range(3)]
    return [*made, torch.randn(shape[3], 2 * window - 1, 2 * window - 1, dtype=dtype)]


@pytest.mark.parametrize(
    ("height", "width", "window"), [(7, 7, 7), (8, 13, 7), (9, 16, 7), (21, 18, 7), (3, 4, 3), (5, 8, 3)]
)
def test_tiles_give_what_single_tokens_give(height: int, width: int, window: int) -> None:
    query, key, value, bias = case((2, height, width, 2), window)
    expected = one_by_one(query, key, value, bias, window)
    assert torch.allclose(neighbourhood_attention(query, key, value, bias, window), expected, atol=5e-6)
    with torch.no_grad():  # another kernel
        assert torch.allclose(neighbourhood_attention(query, key, value, bias, window), expected, atol=5e-6)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 9), (4, 4), (12, 3)])
def test_a_grid_narrower_than_the_window_is_seen_whole(height: int, width: int) -> None:
    query, key, value, bias = case((1, height, width, 2), 7)
    expected = one_by_one(query, key, value, bias, 7)
    assert torch.allclose(neighbourhood_attention(query, key, value, bias, 7), expected, atol=5e-6)
    with torch.no_grad():
        assert torch.allclose(neighbourhood_attention(query, key, value, bias, 7), expected, atol=5e-6)


def test_gradients_are_those_of_the_definition() -> None:
    tensors = [x.requires_grad_() for x in case((1, 8, 9, 1), 7, torch.float64)]
    weight = torch.randn(1, 8, 9, 1, 16, dtype=torch.float64)
    mine = torch.autograd.grad((tiled_attention(*tensors, 7) * weight).sum(), tensors)
    theirs = torch.autograd.grad((one_by_one(*tensors, 7) * weight).sum(), tensors)
    for own, other in zip(mine, theirs, strict=True):
        assert torch.allclose(own, other, atol=1e-10)


def test_smaller_pieces_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    tensors = case((1, 24, 20, 2), 7)
    whole = tiled_attention(*tensors, 7)
    monkeypatch.setattr(attention, "PIECE", 1)
    assert torch.allclose(tiled_attention(*tensors, 7), whole, atol=1e-6)


@pytest.mark.parametrize("length", [1, 2, 6, 7, 8, 9, 10, 11, 30, 64, 100])
def test_a_plan_asks_each_token_once_and_stays_on_the_grid(length: int) -> None:
    runs = plan(length, 7)
    asked = [run.query + tile * 4 + own for run in runs for tile in range(run.tiles) for own in range(run.size)]
    assert asked == list(range(length))
    for run in runs:
        assert run.key >= 0
        assert run.key + (run.tiles - 1) * 4 + run.keys <= length


def test_natten_gives_what_tiles_give(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a CPU too, where a build of natten is there: slow, so not served, but the same numbers."""
    if not torch.cuda.is_available():  # natten asks for it at import
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: (0, 0))
    functional, refusal = find_natten()
    if functional is None:
        pytest.skip(refusal)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    tensors = [x.to(device) for x in case((2, 20, 24, 2), 7)]
    assert torch.allclose(natten_attention(*tensors, 7), tiled_attention(*tensors, 7), atol=1e-5)
