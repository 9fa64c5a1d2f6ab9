"""Routing: exact at test time, the same choice in training, and two ways to compute one result."""

import pytest
import torch

from manypath.edge.transforms import KIT
from manypath.multipath.blocks import Group
from manypath.multipath.noise import PLANES
from manypath.multipath.routing import WINDOW_TOKENS, Predictor, Routing, Scope, main_share, quota, route, soft_mask

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"))]


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.77, 1.0])
def test_each_window_sends_its_quota_to_the_main_path(share: float) -> None:
    importance = torch.randn(2, 16, 24, generator=torch.Generator().manual_seed(1))
    chosen = route(importance, share)
    mask = torch.zeros(2 * 16 * 24).index_fill_(0, chosen.main, 1.0).view(2, 16, 24)
    per_window = mask.view(2, 2, 8, 3, 8).sum(dim=(2, 4))
    assert (per_window == quota(share)).all()
    assert len(chosen.main) + len(chosen.side) == 2 * 16 * 24


def test_ties_go_to_the_earlier_token() -> None:
    chosen = route(torch.zeros(1, 8, 8), 0.25)
    assert chosen.main.tolist() == list(range(WINDOW_TOKENS // 4))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("scope", list(Scope))
def test_the_most_important_are_those_of_the_first_ranks_among_equals_too(scope: Scope, dtype: torch.dtype) -> None:
    drawn = torch.randn(2, 16, 24, generator=torch.Generator().manual_seed(6))
    coarse = (4 * drawn).round().div(4)  # many equals, zeros of both signs among them
    assert (coarse == 0).any()
    assert torch.signbit(coarse[coarse == 0]).any()
    for importance in (drawn.to(dtype), coarse.to(dtype), 1e30 * drawn.to(dtype)):
        for count in (0, 1, 16, 40, 63, 64):
            assert torch.equal(scope.most_important(importance, count), scope.ranks(importance) < count)


@pytest.mark.parametrize("scope", list(Scope))
def test_a_nan_of_either_sign_is_the_most_important_as_it_is_to_a_sort(scope: Scope) -> None:
    importance = torch.randn(2, 16, 24, generator=torch.Generator().manual_seed(6))
    flat = importance.view(-1)
    flat[3::7], flat[5::11], flat[2::9], flat[4::13] = torch.nan, -torch.nan, torch.inf, -torch.inf
    flat[8::23].copy_(torch.tensor([0x7F800001], dtype=torch.int32).view(torch.float32))  # with other bits, too
    assert torch.signbit(flat[5])
    for count in (1, 7, 16, 40, 63):
        assert torch.equal(scope.most_important(importance, count), scope.ranks(importance) < count)


@pytest.mark.parametrize("name", DEVICES)
def test_the_most_important_are_found_where_pytorch_is_to_be_deterministic(name: str) -> None:
    importance = torch.randn(2, 16, 24, generator=torch.Generator().manual_seed(6))
    wanted = Scope.WINDOW.most_important(importance, 20)
    torch.use_deterministic_algorithms(True)
    try:
        assert torch.equal(Scope.WINDOW.most_important(importance.to(name), 20).cpu(), wanted)
    finally:
        torch.use_deterministic_algorithms(False)


def test_a_predictor_says_the_same_with_and_without_gradients() -> None:
    torch.manual_seed(7)
    predictor, x = Predictor(64), torch.randn(2, 16, 8, 64)
    with torch.no_grad():
        alone = predictor(x)
    assert torch.allclose(predictor(x), alone, atol=1e-6)


@pytest.mark.parametrize("noisy", [False, True])
@pytest.mark.parametrize("name", ["main", "side"])
@torch.no_grad()
def test_the_mlps_of_a_path_joined_to_one_add_what_they_add_apart(name: str, noisy: bool) -> None:
    torch.manual_seed(8)
    block = Group(32, 1, KIT, {"side": "noise-adapter"}).requires_grad_(False).blocks[0]
    for mlp in (block.main_mlp, block.side_mlps["side"]):
        torch.nn.init.normal_(mlp.project.weight, std=0.1)
        torch.nn.init.normal_(mlp.project.bias, std=0.1)
    code, x = torch.tensor([30]), torch.randn(1, 8, 8, 32)
    planes = torch.randn(1, 8, 8, PLANES) if noisy else None
    for _ in range(2):  # made, and kept; then of other weights
        mixed = block.mix(x, code)
        mlps = [block.main_mlp, block.side_mlps["side"]][: 1 if name == "main" else 2]
        added = sum(mlp.project(mlp.hidden(mixed, planes)) for mlp in mlps)
        wanted = mixed + block.mlp_gain(code)[:, None, None] * added
        for _ in range(2):
            assert torch.allclose(block.one_path(x, code, name, planes), wanted, atol=1e-5)
        block.main_mlp.expand.weight.mul_(2.0)
        block.mlp_gain.log2.add_(0.5)


@torch.no_grad()
def test_another_quality_joins_the_last_layers_alone_again() -> None:
    torch.manual_seed(9)
    block = Group(32, 1, KIT, {"side": "noise-adapter"}).requires_grad_(False).blocks[0]
    for mlp in (block.main_mlp, block.side_mlps["side"]):
        torch.nn.init.normal_(mlp.project.weight, std=0.1)
    torch.nn.init.normal_(block.mlp_gain.log2)
    x, planes = torch.randn(1, 8, 8, 32), torch.randn(1, 8, 8, PLANES)
    made = {code: block.one_path(x, torch.tensor([code]), "side", planes) for code in (30, 90)}
    joined = block._joined["side"]
    first, last = joined._first._held, joined._last._held
    assert torch.equal(block.one_path(x, torch.tensor([30]), "side", planes), made[30])
    assert not torch.equal(made[30], made[90])
    assert joined._first._held is first
    assert joined._last._held is not last


@torch.no_grad()
def test_a_group_leaves_its_input_as_it_was() -> None:
    group = Group(32, 3, KIT, {"low": "bottleneck"}).requires_grad_(False)
    for block in group.blocks:
        torch.nn.init.normal_(block.mixer.project.weight, std=0.1)
    x, code = torch.randn(1, 8, 8, 32), torch.tensor([70])
    before = x.clone()
    for share in (0.0, 0.5, 1.0):
        made = group(x, code, Routing("low", torch.tensor([share]), exact=True), None)
        assert torch.equal(x, before)
        assert not torch.equal(made, before)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 1.0])
def test_training_and_test_agree_on_the_mask(share: float) -> None:
    importance = torch.randn(3, 16, 16, generator=torch.Generator().manual_seed(2))
    mask, _ = soft_mask(importance, torch.full((3,), share), torch.zeros(3), None)
    chosen = route(importance, share)
    exact = torch.zeros(mask.numel()).index_fill_(0, chosen.main, 1.0).view(mask.shape)
    assert torch.allclose(mask, exact, atol=1e-6)


def test_the_trained_mask_carries_a_gradient_to_the_importance() -> None:
    importance = torch.randn(1, 8, 8, generator=torch.Generator().manual_seed(3)).requires_grad_()
    mask, soft = soft_mask(importance, torch.tensor([0.5]), torch.zeros(1), None)
    (mask * torch.arange(1.0, 65.0).view(1, 8, 8)).sum().backward()
    assert importance.grad is not None
    assert (importance.grad != 0).all()
    assert 0 < float(soft.detach().mean()) < 1


@pytest.mark.parametrize("shape", ["bottleneck", "adapter"])
def test_gathering_equals_blending_both_paths(shape: str) -> None:
    torch.manual_seed(4)
    group = Group(32, 2, KIT, {"low": shape}).eval()
    for parameter in group.parameters():
        if parameter.dim() > 1 and parameter.shape[0] != 8:
            torch.nn.init.normal_(parameter, std=0.1)
    x, code = torch.randn(1, 16, 16, 32), torch.tensor([70])
    importance = group.predictors["low"](x)
    mask, _ = soft_mask(importance, torch.tensor([0.4]), torch.zeros(1), None)
    with torch.no_grad():
        blended = gathered = x
        for block in group.blocks:
            blended = block.blended(blended, code, "low", mask[..., None])
            gathered = block.routed(gathered, code, "low", route(importance, 0.4))
    assert torch.allclose(blended, gathered, atol=1e-5)


def test_an_untrained_adapter_is_the_main_path() -> None:
    torch.manual_seed(5)
    block = Group(32, 1, KIT, {"vehicles": "adapter"}).blocks[0]
    torch.nn.init.normal_(block.main_mlp.project.weight, std=0.1)
    x, code = torch.randn(1, 8, 8, 32), torch.tensor([9])
    assert torch.equal(block.one_path(x, code, "vehicles"), block.one_path(x, code, "main"))


def test_the_encoders_share_follows_the_paper() -> None:
    shares = main_share(torch.arange(1.0, 9.0))
    expected = [0, 0.0646, 0.1460, 0.2483, 0.3771, 0.5392, 0.7432, 1]
    assert torch.allclose(shares, torch.tensor(expected), atol=1e-4)
