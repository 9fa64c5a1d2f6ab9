"""A network of one's own for the tutorial: which pixels show something that drives or rides?"""

import torch
from torch import Tensor, nn

from manypath_lab.segmenter.weights import CLASSES, load_segmenter

VEHICLES = [CLASSES.index(name) for name in ("car", "bicyclist")]


class Vehicles(nn.Module):
    """Two classes per pixel, probabilities [B, 2, H, W], from pictures [B, 3, H, W] in [0, 1]."""

    def __init__(self) -> None:
        super().__init__()
        self.segmenter = load_segmenter()

    def forward(self, x: Tensor) -> Tensor:
        """Return the probabilities of "other" and "vehicle"."""
        vehicle = self.segmenter(x).softmax(1)[:, VEHICLES].sum(1, keepdim=True)
        return torch.cat((1.0 - vehicle, vehicle), 1)


def make() -> nn.Module:
    """Return the network; what ``--network vehicles:make`` calls."""
    return Vehicles()
