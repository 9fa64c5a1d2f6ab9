"""What is kept for every call belongs to one stream: no other may read it, or get its memory while it is read."""

import pytest
import torch
from torch import Tensor

from manypath.edge import context
from manypath.tinylic import attention, fixed_hyper
from manypath.tinylic import context as tinylic
from manypath.transfers import cached_by_stream

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"))]


def places(device: torch.device) -> list[object]:
    run = attention.plan(24, 7)[0]
    return [
        context.positions(6, 4, 2, 1, device),
        context._rows(6, 4, 2, device),
        tinylic.positions(6, 4, "quarters", 1, device),
        tinylic._neighbours(6, 4, "quarters", 1, device),
        tinylic._boundaries(torch.float32, device),
        attention._bias_index(run, run, 7, (24, 24), device),
        fixed_hyper.neighbours(6, 4, 3, device),
    ]


@pytest.mark.parametrize("name", DEVICES)
def test_what_is_cached_is_kept_for_its_stream_alone(name: str) -> None:
    device, module = torch.device(name), getattr(torch, name)
    here = places(device)
    with module.stream(module.Stream()):
        there = places(device)
        assert all(one is other for one, other in zip(there, places(device), strict=True))
    assert all(one is other for one, other in zip(here, places(device), strict=True))
    assert not any(one is other for one, other in zip(here, there, strict=True))


def test_only_so_many_are_kept_and_they_serve_training() -> None:
    @cached_by_stream(2)
    def ones(count: int, device: torch.device) -> Tensor:
        return torch.ones(count, device=device)

    cpu = torch.device("cpu")
    with torch.inference_mode():
        first = ones(1, cpu)
        assert not first.is_inference()
        assert ones(2, cpu) is ones(2, cpu)
        assert ones(1, cpu) is first
        ones(3, cpu), ones(4, cpu)
        assert ones(1, cpu) is not first
        last = ones(1, cpu)
        ones.clear()
        assert ones(1, cpu) is not last
