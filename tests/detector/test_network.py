"""The detector's module computes what the original graph computes, and lets gradients through."""

from pathlib import Path

import numpy as np
import pytest
import torch

from manypath.errors import CheckpointError
from manypath_lab.detector.network import STRIDES
from manypath_lab.detector.weights import class_names, load_detector, notices, shipped_file, to_bytes
from tests.detector.conftest import Reference

KEPT = {8: 8, 16: 4, 32: 1}  # of so many cells the reference holds one


@pytest.mark.parametrize("picture", ["img0", "img1"])
def test_the_module_reproduces_the_original_graphs_outputs(picture: str, reference: Reference) -> None:
    x = torch.from_numpy(reference[f"{picture}_rgb"]).permute(2, 0, 1)[None] / 255.0
    with torch.inference_mode():
        maps = load_detector()(x)
    for level, stride in enumerate(STRIDES):
        for name, found in (("scores", maps.logits[level].sigmoid()), ("bins", maps.bins[level])):
            target = reference[f"{picture}_{name}_s{stride}"]
            ours = found[0].flatten(1).T[:: KEPT[stride]].numpy()
            assert np.abs(ours - target).max() < 1e-3 * np.abs(target).max(), (name, stride)


def test_the_gradient_of_the_answer_reaches_the_picture_and_no_weight() -> None:
    network = load_detector()
    x = torch.rand(1, 3, 64, 96, requires_grad=True)
    sum(part.square().mean() for part in network(x).logits).backward()  # type: ignore[union-attr]
    assert x.grad is not None
    assert float(x.grad.abs().sum()) > 0
    assert not [name for name, weight in network.named_parameters() if weight.requires_grad]


def test_the_shipped_file_is_in_half_precision_with_its_classes_and_notices() -> None:
    assert shipped_file().stat().st_size < 8_000_000
    assert len(set(class_names())) == 80
    assert class_names()[:3] == ("person", "bicycle", "car")
    texts = notices()
    assert "Copyright 2020-2021 RangiLyu" in texts["NOTICE"]
    assert "Apache License" in texts["LICENSE-nanodet.txt"]
    assert "Copyright (c) 2021 Vladimir Mandic" in texts["LICENSE-human-models.txt"]


def test_written_weights_are_the_read_ones(tmp_path: Path) -> None:
    file = tmp_path / "again.safetensors"
    file.write_bytes(to_bytes(load_detector()))
    again, first = load_detector(file).state_dict(), load_detector().state_dict()
    assert all(torch.equal(again[name], tensor) for name, tensor in first.items())


def test_weights_that_are_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no detector in"):
        load_detector(tmp_path / "absent.safetensors")
    (tmp_path / "text.safetensors").write_bytes(b"no weights")
    with pytest.raises(CheckpointError, match="not a safetensors file"):
        load_detector(tmp_path / "text.safetensors")
    other = shipped_file().parent.parent / "segmenter.safetensors"
    with pytest.raises(CheckpointError, match="does not hold this detector's weights"):
        load_detector(other)
