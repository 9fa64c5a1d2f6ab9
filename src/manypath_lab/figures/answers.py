"""What the frozen classifier says of a picture: EfficientNet-Lite0, prepared as the worker's ONNX graph does it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from manypath_lab.classifier.export import IMAGE_SIZE, labels
from manypath_lab.classifier.networks import load_network
from manypath_lab.evaluation.pictures import Pixels


class Answer(NamedTuple):
    """One class and how sure the classifier is.

    Attributes:
        class_index: ImageNet class, 0..999.
        label: its name, the first of its synonyms.
        probability: softmax, 0..1.
    """

    class_index: int
    label: str
    probability: float


class Classifier:
    """The network, loaded once."""

    def __init__(self) -> None:
        self.network = load_network().requires_grad_(False)
        self._labels = [label.partition(",")[0] for label in labels()]

    @torch.inference_mode()
    def probabilities(self, images: Sequence[Pixels]) -> npt.NDArray[np.float32]:
        """Return float32 [N, 1000] for uint8 [H, W, 3] pictures of any sizes."""
        x = torch.cat([prepare(image) for image in images])
        answer: npt.NDArray[np.float32] = torch.softmax(self.network(x), -1).numpy()
        return answer

    def top(self, probabilities: npt.NDArray[np.float32], count: int = 5) -> list[Answer]:
        """Return the likeliest classes of float32 [1000], best first."""
        order = np.argsort(-probabilities, kind="stable")[:count]
        return [Answer(int(i), self._labels[i], float(probabilities[i])) for i in order]

    def label(self, index: int) -> str:
        """Return a class' name."""
        return self._labels[index]


def classifier_window(height: int, width: int) -> tuple[int, int, int]:
    """Return left, top and side of the square that the classifier looks at: 7/8 of the short side, centred."""
    side = max(1, min(height, width) * 7 // 8)
    return (width - side + 1) // 2, (height - side + 1) // 2, side


def prepare(image: Pixels) -> torch.Tensor:
    """Return a picture as the network takes it, float32 [1, 3, 224, 224] in [-1, 1]."""
    left, top, side = classifier_window(*image.shape[:2])
    square = Image.fromarray(image[top : top + side, left : left + side])
    small = np.asarray(square.resize((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.BILINEAR), dtype=np.float32)
    return torch.from_numpy((small - 127.5) / 127.5).permute(2, 0, 1)[None]
