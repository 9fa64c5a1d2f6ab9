"""The published network is built as it was published: sizes, schedule, masks, shares, routing."""

import dataclasses

import pytest
import torch
from torch import Tensor

from manypath.entropy.schedule import Step
from manypath.errors import ConfigError
from manypath.families import PRESETS, build_network, read_config
from manypath.multipath.blocks import Group
from manypath.multipath.routing import LOW, Routing, Scope, main_share, route, soft_mask
from manypath.network import Network
from manypath.testing import random_model
from manypath.tinylic.config import TINYLIC, TinyLICConfig
from manypath.tinylic.context import PATTERNS, positions, scale_index, scale_table
from manypath.tinylic.layers import published_kit
from tests.tinylic.conftest import code_of, relative_error, with_sides
from tests.tinylic.published_context import PublishedContext

TINY = PRESETS["tinylic-tiny"]


def test_the_parameters_are_as_many_as_published(network: Network) -> None:
    assert sum(parameter.numel() for parameter in network.parameters()) == 32_124_579
    first_stage = build_network(TINYLIC)  # one path in the decoder
    assert sum(parameter.numel() for parameter in first_stage.parameters()) == 29_001_363


def test_the_schedule_has_nine_passes_over_four_slices() -> None:
    assert [(step.slice, step.stage, step.start, step.width) for step in build_network(TINYLIC).context.schedule] == [
        *((0, stage, 0, 24) for stage in range(4)),
        *((1, stage, 24, 69) for stage in range(2)),
        *((2, stage, 93, 104) for stage in range(2)),
        (3, 0, 197, 123),
    ]


@pytest.mark.parametrize("name", PATTERNS)
def test_passes_share_out_all_positions_and_see_only_those_before_them(name: str) -> None:
    height, width = 8, 12
    pattern = PATTERNS[name]
    before: set[int] = set()
    for stage in range(len(pattern.passes)):
        own = set(positions(height, width, name, stage, torch.device("cpu")).tolist())
        assert not own & before
        if stage:
            for place in own:
                row, column = divmod(place, width)
                around = [(row + r, column + c) for r, c in pattern.masks[stage - 1]]
                inside = [r * width + c for r, c in around if 0 <= r < height and 0 <= c < width]
                assert set(inside) <= before
        before |= own
    assert before == set(range(height * width))


def test_the_masks_keep_as_many_cells_as_published() -> None:
    kept = [len(mask) for name in TINYLIC.patterns for mask in PATTERNS[name].masks]
    assert kept == [4, 12, 16, 12, 12]


def test_the_scale_table_ends_where_published_and_an_index_is_never_too_small() -> None:
    table = torch.tensor(scale_table())
    assert len(table) == 64
    assert float(table[0]) == pytest.approx(0.11)
    assert float(table[-1]) == pytest.approx(256.0)
    scales = torch.tensor([0.11, 0.1100001, 1.0, 255.9, 300.0])
    index = scale_index(scales)
    assert index.tolist()[:2] == [0, 1]
    assert bool((table[index[:-1]] >= scales[:-1]).all())
    assert int(index[-1]) == 63


def test_shares_of_the_main_path_follow_the_published_curve() -> None:
    shares = main_share(torch.arange(1, 9).double())
    expected = torch.tensor([0, 0.0646, 0.1460, 0.2483, 0.3771, 0.5392, 0.7432, 1.0]).double()
    assert torch.allclose(shares, expected, atol=5e-5)


@pytest.mark.parametrize(("share", "main"), [(0.0, 0), (0.0646, 9), (0.5, 75), (0.999, 149), (1.0, 150)])
def test_a_picture_gives_the_main_path_its_share_rounded_down(share: float, main: int) -> None:
    importance = torch.randn(2, 10, 15)
    chosen = route(importance, share, Scope.PICTURE)
    assert len(chosen.main) == 2 * main
    for picture in range(2):
        own = [place - 150 * picture for place in chosen.main.tolist() if place // 150 == picture]
        assert len(own) == main
        best = importance[picture].flatten().argsort(descending=True)[:main]
        assert set(own) == set(best.tolist())


def test_equal_scores_go_to_the_earlier_token() -> None:
    chosen = route(torch.full((1, 4, 4), 20.0), 0.5, Scope.PICTURE)  # a float32 sigmoid of 20 is exactly 1
    assert chosen.main.tolist() == list(range(8))


def _group() -> Group:
    group = Group(32, 2, published_kit(16, 7), {LOW: "bottleneck"}).eval()
    with torch.no_grad():
        for parameter in group.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return group


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_training_with_the_same_mask_gives_what_gathering_gives(share: float) -> None:
    group = _group()
    x, code, shares = torch.randn(1, 9, 12, 32), code_of(3.3), torch.tensor([share])
    with torch.no_grad():
        gathered = group(x, code, Routing(LOW, shares.double(), exact=True), None)
        blended = group(x, code, Routing(LOW, shares, exact=False), None)
    assert torch.allclose(gathered, blended, atol=1e-5)


def test_the_main_path_alone_is_the_same_for_every_task() -> None:
    model = build_network(dataclasses.replace(TINY, sides=with_sides().sides)).eval()
    tokens = torch.randn(1, 8, 8, 32)
    with torch.no_grad():
        pictures = [
            model.g_s(tokens, code_of(4), routing)
            for routing in (None, *(Routing(name, torch.ones(1), exact=True) for name, _ in model.config.sides))
        ]
    assert all(torch.equal(picture, pictures[0]) for picture in pictures)


def test_soft_masks_rank_over_the_picture_too() -> None:
    importance = torch.randn(2, 5, 7)
    mask, _ = soft_mask(importance, torch.tensor([0.2, 0.6]), torch.zeros(2), None, Scope.PICTURE)
    assert mask.sum(dim=(1, 2)).tolist() == pytest.approx([7, 21])


def test_packed_passes_give_what_the_published_order_gives() -> None:
    torch.manual_seed(1)
    config = dataclasses.replace(TINYLIC, channels=(16, 16, 16), depths=(1, 1, 1, 1), hyper_depth=1)
    model = build_network(config).eval()
    features, y_hat = torch.randn(1, 8, 12, 640), torch.randn(1, 8, 12, 320) * 3
    flat = y_hat.flatten(1, 2)
    packed: list[tuple[Tensor, Tensor]] = []
    plain: list[tuple[Tensor, Tensor]] = []

    def as_published(step: Step, where: Tensor, scales: Tensor, means: Tensor) -> Tensor:
        plain.append((scales, means))
        return flat[:, where, step.start : step.start + step.width]

    def visit(step: Step, where: Tensor, means: Tensor, scales: Tensor) -> Tensor:
        packed.append((scales, means))
        return flat[:, where, step.start : step.start + step.width]

    with torch.no_grad():
        walked = model.context.walk(features, visit)
        PublishedContext(model).walk(features.permute(0, 3, 1, 2), as_published)
    assert torch.equal(walked, y_hat)
    assert len(packed) == len(plain) == 9
    for (scales, means), (plain_scales, plain_means) in zip(packed, plain, strict=True):
        assert torch.allclose(scales, plain_scales, atol=1e-5)
        assert torch.allclose(means, plain_means, atol=1e-5)


def test_every_weight_learns() -> None:
    model = build_network(TINY)
    code = torch.tensor([40, 130])
    seen: list[Tensor] = []
    made = model(
        torch.rand(2, 64, 64, 3), code, lambda _step, y, means, _indexes: seen.append((y - means).abs().mean())
    )
    rate = torch.stack(seen).sum()
    (made.x_hat.square().mean() + rate + model.h_s.prior.bits(made.z).mean()).backward()  # type: ignore[operator, union-attr]
    quiet = {name for name, parameter in model.named_parameters() if parameter.grad is None}
    # scale outputs are seen through their indexes alone, and a shift only moves the ratio loss
    assert all(name.endswith(("shift", "quantiles")) or ".score." in name for name in quiet), sorted(quiet)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"channels": (16, 24, 32)}, "multiple"),
        ({"window": 6}, "odd"),
        ({"patterns": ("all",)}, "patterns"),
        ({"patterns": ("all", "all", "all", "none")}, "patterns"),
        ({"depths": (1, 1, 1)}, "depths"),
        ({"slices": (3, 6, 9, 15)}, "slices"),
    ],
)
def test_a_configuration_that_contradicts_itself_is_refused(change: dict[str, object], word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        dataclasses.replace(TINY, **change)


def test_a_configuration_survives_its_json_and_a_strange_family_does_not() -> None:
    config = with_sides()
    assert read_config(config.to_json()) == config
    assert isinstance(read_config(config.to_json()), TinyLICConfig)
    assert read_config(PRESETS["edge"].to_json()) == PRESETS["edge"]
    with pytest.raises(ConfigError, match="family"):
        read_config(config.to_json().replace('"tinylic"', '"other"', 1))


@pytest.mark.parametrize("preset", ["tiny", "tinylic-tiny"])
def test_automatic_types_serve_without_gradients_as_with_them(preset: str) -> None:
    model = random_model(preset).model
    x = torch.rand(1, 64, 128, 3)
    made = []
    for gradients in (True, False):
        with torch.set_grad_enabled(gradients), torch.autocast("cpu", torch.bfloat16):
            made.append(model(x, code_of(4)).x_hat.detach().float())
    assert relative_error(made[1], made[0]) < 0.03  # of bfloat16
