"""What the encoder's choice of paths is worth: codecs that choose at random, or have one path only.

The paper's Table 3. Nothing is trained: modules of a released model are exchanged, and its own codec writes and reads
real bytes. The decoder never learns of it, since the analysis' routing is not part of a stream.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from manypath import checkpoint
from manypath.codec import Codec
from manypath.multipath.blocks import Block, Group
from manypath.multipath.layers import PathMLP
from manypath.multipath.routing import LOW, Predictor
from manypath_lab.evaluation.codecs.ours import OurSource, weights_version

FULL = "full"


class RandomPredictor(Predictor):
    """Ranks tokens by chance, the same chance in every run."""

    def __init__(self, seed: int) -> None:
        super().__init__(16)  # the layers of its parent are never used
        self._generator = torch.Generator().manual_seed(seed)

    def forward(self, x: Tensor) -> Tensor:
        """Return random importance, [B, h, w], of tokens [B, h, w, C]."""
        return torch.randn(x.shape[:-1], generator=self._generator).to(x.device)


class Variant(NamedTuple):
    """One way to cripple the encoder.

    Attributes:
        name: for files.
        label: for people.
        change: done to the analysis' groups.
    """

    name: str
    label: str
    change: Callable[[Sequence[Group]], None]


def _keep(groups: Sequence[Group]) -> None:
    """Leave the analysis as it is."""


def _random_mask(groups: Sequence[Group]) -> None:
    for number, group in enumerate(groups):
        group.predictors[LOW] = RandomPredictor(number).eval()


def _without_high(groups: Sequence[Group]) -> None:
    for block in _blocks(groups):
        low = block.side_mlps[LOW]
        assert isinstance(low, PathMLP)  # for the type checker: all are
        block.main_mlp = low


def _without_low(groups: Sequence[Group]) -> None:
    for block in _blocks(groups):
        block.side_mlps[LOW] = block.main_mlp


VARIANTS = (
    Variant(FULL, "as trained", _keep),
    Variant("random", "random mask", _random_mask),
    Variant("no-high", "without the high-quality path", _without_high),
    Variant("no-low", "without the low-quality path", _without_low),
)


def make_codec(model: str, variant: Variant, device: str = "cpu") -> Codec:
    """Return a codec whose analysis was changed.

    Raises:
        CheckpointError: there is no such model.
    """
    released = checkpoint.load(model)
    modules = released.model.g_a.modules()
    variant.change([module for module in modules if isinstance(module, Group) and LOW in module.predictors])
    return Codec(released, variant.name, device=device)


def sources(model: str, qualities: Sequence[float], device: str = "cpu") -> list[OurSource]:
    """Return the variants as codecs to be measured on the main path, the unchanged one first.

    Raises:
        CheckpointError: there is no such model.
    """
    variants = []
    for variant in VARIANTS:
        codec = make_codec(model, variant, device)
        source = OurSource(codec, [(codec.main_path, 1.0)], version=weights_version(model, codec), qualities=qualities)
        source.lines = (source.lines[0]._replace(name=variant.name, label=variant.label),)
        variants.append(source)
    return variants


def _blocks(groups: Sequence[Group]) -> list[Block]:
    return [block for group in groups for block in group.blocks]
