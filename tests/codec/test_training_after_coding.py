"""One process may code pictures and train: nothing that is cached belongs to inference alone."""

import torch

from manypath.codec import Codec
from manypath.edge.config import TINY
from manypath.families import build_network
from tests.codec.conftest import photo


def test_a_model_trains_after_a_picture_of_its_grid_was_coded(codec: Codec) -> None:
    from manypath.edge.context import positions

    positions.clear()
    codec.decode(codec.encode(photo(64, 64)))
    model = build_network(TINY)
    out = model(torch.rand(1, 64, 64, 3), torch.tensor([100]))
    (out.x_hat.square().mean() + out.y.square().mean()).backward()
    assert model.gain.log2.grad is not None
