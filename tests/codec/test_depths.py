"""A configuration may leave a group, or the coarse scale, without blocks; such a model codes as any other."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from manypath import checkpoint
from manypath.codec import Codec
from manypath.edge.config import TINY
from manypath.families import build_network
from manypath.testing import SIDES
from tests.codec.conftest import photo


def of_depths(dtype: str, **depths: Any) -> Codec:
    config = dataclasses.replace(TINY, sides=SIDES, **depths)
    torch.manual_seed(5)
    network = build_network(config)
    tables = network.randomise()
    return Codec(checkpoint.build(config, checkpoint.export(network, tables)), "depths", dtype=dtype)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("depths", [(0, 1, 1), (0, 0, 1), (0, 0, 0), (1, 0, 1)])
def test_paths_decoded_together_are_those_decoded_alone(depths: tuple[int, int, int], dtype: str) -> None:
    codec = of_depths(dtype, synthesis_depths=depths)
    stream = codec.encode(photo(64, 128))
    requests = [("mse", 1.0), *((name, share) for name, _ in SIDES for share in (0.0, 0.5))]
    together = codec.decode_paths(stream, requests)
    for (path, share), own in zip(requests, together, strict=True):
        assert np.array_equal(own, codec.decode(stream, path=path, task_share=share)), (path, share)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("depths", [{"coarse_depth": 0}, {"coarse_depth": 0, "analysis_depths": (0, 0, 0)}])
def test_a_model_without_coarse_blocks_codes(depths: dict[str, Any], dtype: str) -> None:
    codec = of_depths(dtype, **depths)
    assert codec.decode(codec.encode(photo(64, 64))).shape == (64, 64, 3)
