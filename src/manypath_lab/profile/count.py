"""Parameters and multiply-accumulates of a model, stage by stage, path by path."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple
from unittest import mock

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from manypath.entropy.schedule import Step
from manypath.multipath.routing import LOW, Routing, Trace
from manypath.network import Network

HEIGHT, WIDTH = 192, 192  # pixels; counts per pixel do not depend on it, but for grids narrower than a window
SHARES = (1.0, 0.5, 0.0)  # of tokens on the main path, where a stage has two
MAIN = "main"


class Part(NamedTuple):
    """One stage of a model in one of the ways it can run.

    Attributes:
        stage: such as ``analysis``.
        path: of the synthesis: ``main`` or a side path; else empty.
        main_share: of tokens on the main path (rho); None where all take the only one.
        parameters: of the stage; in a row that shares them with an earlier one, those that it has beyond it.
        kilomacs: multiply-accumulates per pixel, in thousands.
    """

    stage: str
    path: str
    main_share: float | None
    parameters: int
    kilomacs: float

    @property
    def name(self) -> str:
        """Return what to call it in a table."""
        words = [self.stage]
        if self.path:
            words.append(self.path)
        if self.main_share is not None:
            words.append(f"rho {self.main_share:g}")
        return ", ".join(words)


def parameters(*modules: torch.nn.Module) -> int:
    """Return how many parameters modules have."""
    return sum(parameter.numel() for module in modules for parameter in module.parameters())


def _by_onednn(tokens: torch.Size, *operands: object, **_: object) -> int:
    """Return the flops of a product by oneDNN: operands are weight and bias, or what is added, weight and bias."""
    weight = operands[1] if operands[3] == "add" else operands[0]
    assert isinstance(weight, torch.Size)
    return 2 * tokens.numel() * weight[0]


def _of_bytes(tokens: torch.Size, *_: object, out_shape: torch.Size, **__: object) -> int:
    """Return the flops of a product of bytes."""
    return 2 * tokens.numel() * out_shape[-1]


def _around_of_bytes(*_: object, out_shape: torch.Size, **__: object) -> int:
    """Return the flops of a depthwise convolution of bytes, 3x3."""
    return 2 * 9 * out_shape.numel()


def _product(_sum: torch.Size, left: torch.Size, right: torch.Size, **_: object) -> int:
    """Return the flops of a matrix product that is added in place, which PyTorch's counter does not know."""
    return 2 * left[0] * left[1] * right[1]


@contextmanager
def _counted(total: list[float]) -> Iterator[None]:
    """Add the multiply-accumulates of the block to ``total``; attention is counted, not computed."""

    def attention(query: Tensor, _key: Tensor, value: Tensor, _bias: Tensor, window: int) -> Tensor:
        total[0] += 2.0 * query.numel() * min(window, query.shape[1]) * min(window, query.shape[2])
        return value

    own = {
        torch.ops.aten.addmm_: _product,
        torch.ops.mkldnn._linear_pointwise: _by_onednn,
        torch.ops.onednn.qlinear_pointwise: _of_bytes,
        torch.ops.onednn.qconv2d_pointwise: _around_of_bytes,
    }
    counter = FlopCounterMode(display=False, custom_mapping=own)
    by_tiles = mock.patch("manypath.tinylic.row_attention.refusal", return_value="compiled loops cannot be counted")
    with mock.patch("manypath.tinylic.layers.neighbourhood_attention", attention), by_tiles, counter:
        yield
    total[0] += counter.get_total_flops() / 2


def kilomacs(work: Callable[[], object]) -> float:
    """Return the multiply-accumulates of ``work`` per pixel of a HEIGHT x WIDTH picture, in thousands."""
    total = [0.0]
    with torch.no_grad(), _counted(total):
        work()
    return total[0] / (HEIGHT * WIDTH * 1000)


def parts(model: Network, paths: tuple[str, ...], predictors: bool = False) -> list[Part]:
    """Return the stages of a model.

    Args:
        model: in eval mode.
        paths: side paths of the synthesis to count.
        predictors: also where a choice of paths is not needed, as the published network runs them.
    """
    x = torch.zeros(1, HEIGHT, WIDTH, 3)
    latents = torch.zeros(1, HEIGHT // 16, WIDTH // 16, model.config.latent_channels)
    hyper = torch.zeros(1, HEIGHT // 64, WIDTH // 64, model.config.hyper_channels)
    code = torch.tensor([224])
    features: list[Tensor] = []

    def trace() -> Trace | None:
        return Trace([], []) if predictors else None

    def analyse(share: float) -> object:
        return model.g_a(x, code, Routing(LOW, torch.tensor([share]), exact=True), trace())

    def walk() -> object:
        def visit(_step: Step, _where: Tensor, means: Tensor, _indexes: Tensor) -> Tensor:
            return means.clone()

        return model.walk(features[0], code, visit)

    def paint(path: str, share: float) -> object:
        routing = None
        if path != MAIN:
            routing = Routing(path, torch.tensor([share]), exact=True)
            routing = model.with_noise(routing, [0], 0, HEIGHT, WIDTH)
        return model.g_s(model.g_s.shared(latents, code), code, routing, trace())

    def side(path: str) -> int:
        return sum(p.numel() for name, p in model.g_s.named_parameters() if path in name.split("."))

    routed = any(group.predictors for group in model.g_a.groups)
    table = [
        Part("analysis", "", share if routed else None, 0, kilomacs(functools.partial(analyse, share)))
        for share in (SHARES if routed else (1.0,))
    ]
    table[0] = table[0]._replace(parameters=parameters(model.g_a))
    table += [
        Part("hyper-analysis", "", None, parameters(model.h_a), kilomacs(lambda: model.hyper_latent(latents, code))),
        Part(
            "hyper-synthesis",
            "",
            None,
            parameters(model.h_s),
            kilomacs(lambda: features.append(model.h_s(hyper, code))),
        ),
        Part("context", "", None, parameters(model.context), kilomacs(walk)),
    ]
    every = dict(model.config.sides)
    main = parameters(model.g_s) - sum(side(path) for path in every)
    table.append(Part("synthesis", MAIN, None, main, kilomacs(lambda: paint(MAIN, 1.0))))
    for path in paths:
        for share in SHARES:
            added = side(path) if share == SHARES[0] else 0
            table.append(Part("synthesis", path, share, added, kilomacs(functools.partial(paint, path, share))))
    counted = parameters(model.g_a, model.h_a, model.h_s, model.context, model.g_s)
    table.append(Part("gains of the latents", "", None, parameters(model) - counted, 0.0))
    return table
