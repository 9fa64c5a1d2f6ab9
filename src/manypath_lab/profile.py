"""``manypath profile``: what models are made of and what they cost: parameters, multiplications per pixel, latency."""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple
from unittest import mock

import numpy as np
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from manypath.codec import Codec, StageTimings
from manypath.entropy.context import Step
from manypath.model import MPAModel
from manypath.transforms import Routing, Trace

if TYPE_CHECKING:
    from argparse import _SubParsersAction

HEIGHT, WIDTH = 192, 256  # pixels; counts per pixel do not depend on it, but for grids narrower than a window
_DESCRIPTION = """\
Show what models cost. kMAC/px are thousands of multiply-accumulates per pixel of the picture, in our order of
operations; a token of neighbourhood attention counts as its window, 2 * window^2 * channels. Latency is of one picture
of noise at quality 4 on this machine, in milliseconds, the best of the runs.
"""
_EXAMPLE = "example:\n  manypath profile edge tinylic-random-sides --size 768x512"


class Part(NamedTuple):
    """One stage of a model.

    Attributes:
        name: of the stage.
        parameters: how many.
        kilomacs: multiply-accumulates per pixel, in thousands.
    """

    name: str
    parameters: int
    kilomacs: float


def _product(_sum: torch.Size, left: torch.Size, right: torch.Size, **_: object) -> int:
    """Return the flops of a matrix product that is added in place, which PyTorch's counter does not know."""
    return 2 * left[0] * left[1] * right[1]


@contextmanager
def _counted(total: list[float]) -> Iterator[None]:
    """Add the multiply-accumulates of the block to ``total``; attention is counted, not computed."""

    def attention(query: Tensor, _key: Tensor, value: Tensor, _bias: Tensor, window: int) -> Tensor:
        total[0] += 2.0 * query.numel() * min(window, query.shape[1]) * min(window, query.shape[2])
        return value

    counter = FlopCounterMode(display=False, custom_mapping={torch.ops.aten.addmm_: _product})
    with mock.patch("manypath.mixers.neighbourhood_attention", attention), counter:
        yield
    total[0] += counter.get_total_flops() / 2


def kilomacs(work: Callable[[], object]) -> float:
    """Return the multiply-accumulates of ``work`` per pixel of a HEIGHT x WIDTH picture, in thousands."""
    total = [0.0]
    with torch.no_grad(), _counted(total):
        work()
    return total[0] / (HEIGHT * WIDTH * 1000)


def parts(model: MPAModel, paths: tuple[str, ...], predictors: bool = False) -> list[Part]:
    """Return the stages of a model: the analysis at both ends of the range, then what a decoder runs, path by path.

    Args:
        model: in eval mode.
        paths: side paths to decode by, at task share 1.
        predictors: also where a choice of paths is not needed, as the published network runs them.
    """
    x = torch.zeros(1, HEIGHT, WIDTH, 3)
    latents = torch.zeros(1, HEIGHT // 16, WIDTH // 16, model.config.latent_channels)
    hyper = torch.zeros(1, HEIGHT // 64, WIDTH // 64, model.config.hyper_channels)
    low, high = torch.tensor([0]), torch.tensor([224])
    features: list[Tensor] = []

    def trace() -> Trace | None:
        return Trace([], []) if predictors else None

    def analyse(code: Tensor) -> object:
        return model.g_a(x, code, model.analysis_routing(code, exact=True), trace())

    def walk() -> object:
        def visit(_step: Step, _where: Tensor, means: Tensor, _indexes: Tensor) -> Tensor:
            return means.clone()

        return model.context.walk(features[0], high, visit)

    def paint(path: str | None) -> object:
        routing = Routing(path, torch.zeros(1), exact=True) if path else None
        return model.g_s(model.g_s.shared(latents, high), high, routing, trace())

    def size(*modules: torch.nn.Module) -> int:
        return sum(parameter.numel() for module in modules for parameter in module.parameters())

    return [
        Part("analysis, quality 8", size(model.g_a), kilomacs(lambda: analyse(high))),
        Part("analysis, quality 1", size(model.g_a), kilomacs(lambda: analyse(low))),
        Part("hyper-analysis", size(model.h_a), kilomacs(lambda: model.hyper_latent(latents, high))),
        Part("hyper-synthesis", size(model.h_s), kilomacs(lambda: features.append(model.h_s(hyper, high)))),
        Part("context", size(model.context), kilomacs(walk)),
        Part("synthesis, main path", size(model.g_s), kilomacs(lambda: paint(None))),
        *(Part(f"synthesis, {path}", size(model.g_s), kilomacs(functools.partial(paint, path))) for path in paths),
    ]


def latencies(codec: Codec, height: int, width: int, runs: int) -> dict[str, float]:
    """Return milliseconds per stage of encoding and of decoding noise, the best of ``runs``."""
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    best: dict[str, float] = {}
    for _ in range(runs):
        encoding, decoding = StageTimings(), StageTimings()
        stream = codec.encode(image, timings=encoding)
        codec.decode(stream, timings=decoding)
        for kind, spent in (("encode", encoding), ("decode", decoding)):
            for stage, seconds in spent.seconds.items():
                name = f"{kind}: {stage}"
                best[name] = min(best.get(name, float("inf")), 1000 * seconds)
    return best


def add_parser(subparsers: _SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the subcommand."""
    parser = subparsers.add_parser(
        "profile",
        help="what models cost: parameters, MACs per pixel, latency",
        description=_DESCRIPTION,
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("models", nargs="+", metavar="MODEL", help="shipped, a .safetensors file, or PRESET-random")
    parser.add_argument(
        "--size", default="768x512", metavar="WxH", help="of the timed picture, pixels (default 768x512)"
    )
    parser.add_argument("--runs", type=int, default=1, help="of which the best counts; 0: no timing (default 1)")
    parser.set_defaults(func=show)


def show(args: argparse.Namespace) -> int:
    """Print one table per model.

    Raises:
        ConfigError: the size is not two numbers of pixels.
        CheckpointError: there is no such model.
    """
    width, height = _size(args.size)
    for name in args.models:
        codec = Codec.load(name)
        model, sides = codec._model, tuple(path for path, _ in codec.config.sides)
        print(f"{name}: {sum(parameter.numel() for parameter in model.parameters()):,} parameters")
        for part in parts(model, sides):
            print(f"  {part.name:28} {part.parameters:>12,} parameters {part.kilomacs:9.2f} kMAC/px")
        if args.runs:
            for stage, spent in latencies(codec, height, width, args.runs).items():
                print(f"  {stage:28} {spent:12.1f} ms for {width}x{height}")
    return 0


def _size(text: str) -> tuple[int, int]:
    from manypath.errors import ConfigError

    width, cross, height = text.partition("x")
    if not (cross and width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise ConfigError(f"--size is WIDTHxHEIGHT in pixels, such as 768x512; got {text!r}")
    return int(width), int(height)
