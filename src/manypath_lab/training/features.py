"""Deep features for the perceptual term: an EfficientNet-Lite's, one map per resolution.

A user with VGG weights may give ``losses.PerceptualTerm`` any other network of the same signature.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from manypath_lab.classifier.networks import load_network

STRIDES = (2, 4, 8, 16)  # pixels per position of the maps that are compared


class EfficientNetFeatures(nn.Module):
    """Pictures, float [B, 3, H, W] in [0, 1], to the last feature map at each of ``STRIDES``.

    Args:
        network: a published classifier: ``lite0``, ``lite1`` or ``lite2``.
    """

    def __init__(self, network: str = "lite0") -> None:
        super().__init__()
        self.network: Any = load_network(network)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return one map [B, C, H/s, W/s] per stride s; the network's later layers are not run."""
        network = self.network
        side = x.shape[-1]
        x = network._swish(network._bn0(network._conv_stem(x * 2.0 - 1.0)))
        maps: dict[int, Tensor] = {}
        for block in network._blocks:
            after = block(x)
            stride = round(side / x.shape[-1])
            if after.shape[-1] < x.shape[-1]:
                maps[stride] = x
                if stride == STRIDES[-1]:
                    break
            x = after
        return [maps[stride] for stride in STRIDES]
