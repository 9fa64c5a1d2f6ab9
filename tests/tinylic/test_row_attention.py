"""Compiled rows give the numbers of the tiles, whatever the grid, the threads and the type; elsewhere tiles serve."""

import subprocess
import sys

import pytest
import torch
from torch import Tensor

from manypath.tinylic import row_attention, row_kernels
from manypath.tinylic.attention import tiled_attention
from manypath.tinylic.layers import NeighbourhoodMixer

HEAD = 16
LANES = row_kernels.LANES


def both(height: int, width: int, heads: int, spread: float = 1.0) -> tuple[Tensor, Tensor]:
    """Return what rows and what tiles make of the same queries, keys and values, [h, w, heads, d] each."""
    torch.manual_seed(5)
    joint = torch.randn(height, width, 3, heads, HEAD) * spread
    bias = torch.randn(heads, 13, 13)
    query, key, value = joint[None].unbind(3)
    rows = row_attention.row_attention(joint.permute(2, 3, 4, 0, 1), bias)
    return rows.permute(2, 3, 0, 1), tiled_attention(query, key, value, bias, 7)[0]


@pytest.mark.parametrize(
    ("height", "width"),
    [(7, 7), (7, 8), (8, 7), (9, 16), (30, 21), (7, LANES + 6), (8, LANES + 7), (9, 2 * LANES + 13), (50, 14)],
)
def test_rows_give_what_tiles_give(height: int, width: int) -> None:
    rows, tiles = both(height, width, 2)
    assert torch.allclose(rows, tiles, atol=3e-6)


@pytest.mark.parametrize("spread", [1e-3, 30.0, 1e4])
def test_scores_of_any_size_are_taken(spread: float) -> None:
    rows, tiles = both(9, 12, 1, spread)
    assert torch.allclose(rows, tiles, rtol=2e-4, atol=2e-4 * spread)


def test_a_key_that_is_no_number_spoils_only_those_who_see_it() -> None:
    joint = torch.randn(3, 1, HEAD, 20, 20)
    clean = row_attention.row_attention(joint, torch.zeros(1, 13, 13))
    joint[1, 0, 0, 10, 10] = float("nan")
    spoilt = row_attention.row_attention(joint, torch.zeros(1, 13, 13))
    far = torch.ones(20, 20, dtype=torch.bool)
    far[7:14, 7:14] = False
    assert spoilt[..., far].equal(clean[..., far])
    assert not bool(torch.isfinite(spoilt[:, :, 10, 10]).any())


def test_threads_share_the_heads(monkeypatch: pytest.MonkeyPatch) -> None:
    joint, bias = torch.randn(3, 3, HEAD, 9, 11), torch.randn(3, 13, 13)
    alone = row_attention.row_attention(joint, bias)
    for threads in (2, 8):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        assert row_attention.row_attention(joint, bias).equal(alone)


def test_what_is_given_is_not_changed() -> None:
    joint = torch.randn(3, 1, HEAD, 8, 8)
    before = joint.clone()
    row_attention.row_attention(joint, torch.zeros(1, 13, 13))
    assert joint.equal(before)


@torch.inference_mode()
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_mixer_gives_the_same_by_either(monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype) -> None:
    mixer = NeighbourhoodMixer(32, HEAD, 7).to(dtype)
    torch.nn.init.normal_(mixer.qkv.bias)
    x = torch.randn(2, 9, 40, 32, dtype=dtype)
    assert not row_attention.refusal(x, 2, 7)
    rows = mixer(x)
    monkeypatch.setattr(row_attention, "_installed", lambda: False)
    assert "install the extra 'kernels'" in row_attention.refusal(x, 2, 7)
    assert torch.allclose(rows, mixer(x), atol=1e-6 if dtype == torch.float32 else 2e-2)


def test_who_is_not_served_is_told_why() -> None:
    x = torch.randn(1, 8, 8, 32)
    assert "gradient" in row_attention.refusal(x, 2, 7)
    with torch.no_grad():
        assert "windows of 7" in row_attention.refusal(x, 2, 5)
        assert "windows of 7" in row_attention.refusal(x.double(), 2, 7)
        assert "multiple of 4" in row_attention.refusal(x[..., :6], 1, 7)
        assert "narrower" in row_attention.refusal(x[:, :6], 2, 7)
        assert not row_attention.refusal(x, 2, 7)


def test_both_halves_speak_of_one_window() -> None:
    assert row_attention.WINDOW == row_kernels.WINDOW  # written twice: the one must not import the other's Numba


def test_numba_is_not_imported_before_it_is_needed() -> None:
    code = "import sys, manypath.codec; print('numba' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
