"""The segmenter's network: what it takes and gives, and what folding and freezing leave as it was."""

import pytest
import torch
from torch import nn

from manypath_lab.segmenter.network import SegmenterNetwork
from manypath_lab.segmenter.trainer import start_network


@pytest.fixture(scope="module")
def fresh() -> SegmenterNetwork:
    torch.manual_seed(1)
    return start_network()


@pytest.mark.parametrize("size", [(64, 96), (33, 70), (1, 1)])
def test_logits_have_the_pictures_size(size: tuple[int, int], fresh: SegmenterNetwork) -> None:
    with torch.inference_mode():
        logits = fresh.eval()(torch.rand(2, 3, *size))
    assert logits.shape == (2, 11, *size)
    assert logits.dtype == torch.float32


def test_what_is_filled_up_at_the_border_repeats_the_last_row_and_column(fresh: SegmenterNetwork) -> None:
    x = torch.rand(1, 3, 50, 64)
    filled = torch.cat([x, x[:, :, -1:].expand(-1, -1, 14, -1)], 2)
    with torch.inference_mode():
        torch.testing.assert_close(fresh.eval()(x), fresh(filled)[:, :, :50])


def test_the_features_are_those_of_efficientnet(fresh: SegmenterNetwork) -> None:
    from manypath_lab.classifier.networks import load_network

    theirs = load_network()
    x = torch.rand(1, 3, 224, 224) * 2 - 1
    with torch.inference_mode():
        y = theirs._swish(theirs._bn0(theirs._conv_stem(x)))
        for block in theirs._blocks:
            y = block(y)
        torch.testing.assert_close(fresh.features(x)[-1], y, rtol=1e-3, atol=1e-3)


def test_folding_leaves_the_answers_as_they_were() -> None:
    torch.manual_seed(2)
    network = SegmenterNetwork(11, norm=True)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 2.0)
            nn.init.normal_(module.bias)
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
    x = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        before = network.eval()(x)
        after = network.fold()(x)
    assert not [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-4)
