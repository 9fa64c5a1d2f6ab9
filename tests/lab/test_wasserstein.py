"""What the path for people learns from: statistics of texture, and no texture where there are letters."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from manypath_lab.training.drawn import draw_picture
from manypath_lab.training.wasserstein import (
    ROOT_FLOOR,
    WassersteinTerm,
    colour_error,
    grid_error,
    local_distances,
    texture_weight,
    windows,
)

LOWEST, HIGHEST = windows(torch.tensor([0])), windows(torch.tensor([224]))


class Pyramid(nn.Module):
    """Features that need no weights: luma's differences at four resolutions."""

    def forward(self, x: Tensor) -> list[Tensor]:
        luma = x.mean(1, keepdim=True)
        maps = []
        for _ in range(4):
            luma = F.avg_pool2d(luma, 2)
            maps.append(torch.cat((luma, luma - luma.roll(1, 2), luma - luma.roll(1, 3)), 1))
        return maps


@pytest.fixture(scope="module")
def term() -> WassersteinTerm:
    return WassersteinTerm(Pyramid(), 0.05)


def lawn(seed: int, side: int = 128) -> Tensor:
    """Return grain on grey, [1, side, side, 3]."""
    grain = torch.from_numpy(np.random.default_rng(seed).normal(0.0, 0.08, (1, side, side, 1)))
    return (0.45 + grain).float().expand(-1, -1, -1, 3)


def blurred(x: Tensor) -> Tensor:
    return F.avg_pool2d(x.permute(0, 3, 1, 2), 9, 1, 4, count_include_pad=False).permute(0, 2, 3, 1)


def test_a_picture_has_no_distance_from_itself_at_any_quality(term: WassersteinTerm) -> None:
    x = torch.cat([lawn(number) for number in range(4)])
    sigma = windows(torch.tensor([0, 50, 160, 224]))
    assert torch.equal(term(x, x, sigma), torch.zeros(4))
    assert torch.equal(colour_error(x, x), torch.zeros(4))


def test_another_lawn_is_nearer_than_a_blurred_one_where_the_rate_is_low(term: WassersteinTerm) -> None:
    x = lawn(0)
    other, blur = term(lawn(1), x, LOWEST), term(blurred(x), x, LOWEST)
    assert float(other) < 0.7 * float(blur)
    squared = [float((made - x).square().mean()) for made in (lawn(1), blurred(x))]
    assert squared[0] > 1.5 * squared[1]  # the squared error would have it the other way round


def test_where_the_rate_is_high_every_blade_counts(term: WassersteinTerm) -> None:
    x = lawn(0)
    assert float(term(lawn(1), x, HIGHEST)) > float(term(blurred(x), x, HIGHEST))


def test_a_quality_between_two_levels_lies_between_them(term: WassersteinTerm) -> None:
    x, other = lawn(0), lawn(1)
    wide, between, narrow = (float(term(other, x, windows(torch.tensor([code])))) for code in (32, 48, 64))
    assert wide < between < narrow
    assert between == pytest.approx((wide + narrow) / 2, rel=1e-4)


def test_each_picture_of_a_batch_has_the_windows_of_its_own_quality(term: WassersteinTerm) -> None:
    x, other = lawn(0), lawn(1)
    together = term(torch.cat((other, other)), torch.cat((x, x)), windows(torch.tensor([0, 224])))
    alone = torch.cat((term(other, x, LOWEST), term(other, x, HIGHEST)))
    assert torch.allclose(together, alone, rtol=1e-5)


def test_the_term_fades_on_letters_and_not_on_grain() -> None:
    grain = float(texture_weight(lawn(3)).mean())
    letters = torch.ones(1, 128, 128, 3)
    letters[:, 4::16, :, :] = letters[:, 5::16, :, :] = letters[:, 6::16, :, :] = letters[:, 7::16, :, :] = 0.0
    assert grain > 0.9
    assert float(texture_weight(letters).mean()) < 0.15
    drawn = draw_picture(np.random.default_rng(2), 128)
    weights = texture_weight(torch.from_numpy(drawn).float()[None] / 255.0)
    assert float(weights.min()) >= 0.0
    assert float(weights.max()) <= 1.0


def test_where_it_fades_nothing_is_to_be_won(term: WassersteinTerm) -> None:
    letters = torch.zeros(1, 128, 128, 3)
    letters[:, ::2] = 1.0
    grey = torch.full_like(letters, 0.5)
    on_letters = float(term(grey, letters, LOWEST))
    weight = float(texture_weight(letters).mean())
    assert weight < 0.03
    unfaded = [
        local_distances(one / 0.05, other / 0.05, 0)[0]
        for one, other in zip(Pyramid()(grey.permute(0, 3, 1, 2)), Pyramid()(letters.permute(0, 3, 1, 2)), strict=True)
    ]
    assert on_letters < 0.1 * sum(float(own.mean()) for own in unfaded) + 1e-6


def test_the_root_of_a_variance_of_nothing_has_a_gradient_with_a_bound() -> None:
    flat = torch.full((1, 1, 32, 32), 0.5, requires_grad=True)
    grain = torch.randn(1, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    local_distances(flat, grain, 3)[3].sum().backward()
    assert flat.grad is not None
    assert bool(torch.isfinite(flat.grad).all())
    assert float(flat.grad.abs().max()) < 1.0 / ROOT_FLOOR


def test_means_of_colours_count_and_grain_does_not() -> None:
    x = lawn(0)
    reddish = x + torch.tensor([4.0, 0.0, 0.0]) / 255.0
    assert float(colour_error(reddish, x)) == pytest.approx(2 * 4.0 / 3, rel=1e-4)
    assert float(colour_error(blurred(x), x)) < 4.0


def test_a_pattern_in_every_token_counts_and_grain_of_its_strength_hardly() -> None:
    x = torch.full((1, 128, 128, 3), 0.5)
    token = torch.randn(8, 8, 3, generator=torch.Generator().manual_seed(1)) * 3.0 / 255.0
    pattern, grain = (
        token.repeat(16, 16, 1)[None],
        torch.randn(1, 128, 128, 3, generator=torch.Generator().manual_seed(2)),
    )
    repeated, free = float(grid_error(x + pattern, x)), float(grid_error(x + grain * 3.0 / 255.0, x))
    assert repeated == pytest.approx(9.0, rel=0.2)
    assert free < 0.03 * repeated
    assert float(grid_error(x + 0.1, x)) == pytest.approx(0.0, abs=1e-6)  # that is no grid, and others' to judge
