"""What is kept between calls is made again as soon as what it was made of is another."""

import copy

import torch
from torch import nn

from manypath.kept import Kept
from manypath.levels import Gain


def frozen(*values: float) -> nn.Parameter:
    return nn.Parameter(torch.tensor(values), requires_grad=False)


@torch.no_grad()
def test_it_is_made_once_and_again_after_a_change_of_values_type_tensor_or_key() -> None:
    weight, kept = frozen(1.0, 2.0), Kept[torch.Tensor]()

    def made(key: int = 0) -> torch.Tensor:
        return kept.get(lambda: weight * 2, weight, key=key)

    first = made()
    assert made() is first
    weight.mul_(3.0)
    assert made().tolist() == [6.0, 12.0]
    layer = nn.Module()
    layer.weight = weight
    layer.to(torch.bfloat16)
    assert made().dtype == torch.bfloat16
    assert made(1) is not made(2)
    weight = frozen(5.0)
    assert made().tolist() == [10.0]


@torch.no_grad()
def test_a_change_of_type_there_and_back_is_noticed_though_object_version_and_type_are_the_same() -> None:
    layer, kept = nn.Linear(300, 300).requires_grad_(False), Kept[torch.Tensor]()
    for _ in range(20):
        layer.weight.fill_(1.0 + 2.0**-20)
        assert float(kept.get(lambda: layer.weight * 2, layer.weight)[0, 0]) == 2.0 + 2.0**-19
        layer.to(torch.bfloat16).to(torch.float32)  # which rounds, and may put it where it was
        assert float(kept.get(lambda: layer.weight * 2, layer.weight)[0, 0]) == 2.0


def test_nothing_is_kept_of_weights_that_may_learn_or_where_gradients_are_wanted() -> None:
    learning, still, kept = nn.Parameter(torch.ones(2)), frozen(1.0), Kept[torch.Tensor]()
    with torch.no_grad():
        assert kept.get(lambda: learning * 2, learning) is not kept.get(lambda: learning * 2, learning)
        learning.data.mul_(2.0)  # which tells nobody
        assert kept.get(lambda: learning * 2, learning).tolist() == [4.0, 4.0]
    assert kept.get(lambda: still * 2, still) is not kept.get(lambda: still * 2, still)


def test_a_copy_of_a_layer_keeps_nothing_of_the_first_and_a_gain_follows_its_quality() -> None:
    gain = Gain(2).requires_grad_(False)
    gain.log2.copy_(torch.arange(8.0)[:, None].expand(8, 2))
    codes = [torch.tensor([code]) for code in (0, 32, 0)]
    with torch.inference_mode():
        assert [gain(code).tolist() for code in codes] == [[[1.0, 1.0]], [[2.0, 2.0]], [[1.0, 1.0]]]
        other = copy.deepcopy(gain)
        other.log2.add_(1.0)
        assert other(codes[0]).tolist() == [[2.0, 2.0]]
        assert gain(codes[0]).tolist() == [[1.0, 1.0]]
