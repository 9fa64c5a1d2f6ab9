"""The shipped segmenter: its ONNX file says what the torch module says, and lies whole in a repository."""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image

from manypath.errors import CheckpointError
from manypath_cli.main import main
from manypath_lab.model_repository import ModelExport
from manypath_lab.segmenter.export import export_segmenter
from manypath_lab.segmenter.score import OnnxSegmenter
from manypath_lab.segmenter.weights import CLASSES, PALETTE, VOID, load_segmenter, shipped_file
from tests.segmenter.street import street, write


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> ModelExport:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MANYPATH_CACHE", str(tmp_path_factory.mktemp("cache")))
        return export_segmenter()


def picture(height: int, width: int, seed: int) -> np.ndarray:
    """Coloured blobs."""
    coarse = np.random.default_rng(seed).integers(0, 256, (7, 9, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


@pytest.mark.parametrize("size", [(96, 128), (61, 130), (5, 3), (1, 1)])
def test_onnx_equals_torch(size: tuple[int, int], export: ModelExport) -> None:
    """But for pixels where two classes are as good as equal."""
    images = np.stack([picture(*size, seed) for seed in range(2)])
    session = onnxruntime.InferenceSession(export.folder / "model.onnx", providers=["CPUExecutionProvider"])
    (masks,) = session.run(None, {"image": images})
    with torch.inference_mode():
        logits = load_segmenter()(torch.from_numpy(images).permute(0, 3, 1, 2) / 255.0)
    best = logits.topk(2, dim=1)
    clear = (best.values[:, 0] - best.values[:, 1] > 1e-3).numpy()
    assert masks.dtype == np.uint8
    assert masks.shape == (2, *size)
    assert clear.mean() > 0.9
    np.testing.assert_array_equal(masks[clear], best.indices[:, 0].numpy()[clear])


def test_the_gradient_of_the_answer_reaches_the_picture_and_no_weight() -> None:
    network = load_segmenter()
    x = torch.rand(1, 3, 40, 64, requires_grad=True)
    network(x).square().mean().backward()
    assert x.grad is not None
    assert float(x.grad.abs().sum()) > 0
    assert not [name for name, weight in network.named_parameters() if weight.requires_grad]


def test_the_file_carries_names_and_colours_for_whoever_has_no_lab(export: ModelExport) -> None:
    session = onnxruntime.InferenceSession(export.folder / "model.onnx", providers=["CPUExecutionProvider"])
    notes = session.get_modelmeta().custom_metadata_map
    assert json.loads(notes["classes"]) == list(CLASSES)
    assert [tuple(colour) for colour in json.loads(notes["palette"])] == list(PALETTE)
    assert int(notes["void"]) == VOID
    assert (export.folder / "labels.txt").read_text(encoding="utf-8").splitlines() == list(CLASSES)
    assert (export.folder / "model.onnx").stat().st_size < 15_000_000


def test_the_manifest_says_what_the_graph_takes_and_gives(export: ModelExport) -> None:
    manifest = json.loads((export.folder / "model.json").read_text(encoding="utf-8"))
    assert manifest["task"] == "segmentation"
    assert manifest["sha256"] == export.sha256
    assert manifest["inputs"] == [{"name": "image", "datatype": "UINT8", "shape": [-1, -1, -1, 3]}]
    assert manifest["outputs"] == [{"name": "mask", "datatype": "UINT8", "shape": [-1, -1, -1]}]


def test_a_second_install_finds_the_first_and_other_weights_replace_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MANYPATH_CACHE", str(tmp_path / "cache"))
    assert main(["lab", "segmenter", "install"]) == 0
    assert main(["lab", "segmenter", "install", "--output", str(tmp_path / "models")]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("built")
    assert second.startswith(f"found {tmp_path / 'models' / 'street-segmenter'}")
    other = tmp_path / "other.safetensors"
    tensors = bytearray(shipped_file().read_bytes())
    tensors[-2] ^= 1
    other.write_bytes(tensors)
    assert export_segmenter(weights=other).built


def test_weights_that_are_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no segmenter in"):
        load_segmenter(tmp_path / "absent.safetensors")
    (tmp_path / "text.safetensors").write_bytes(b"no weights")
    with pytest.raises(CheckpointError, match="not a safetensors file"):
        load_segmenter(tmp_path / "text.safetensors")
    with pytest.raises(CheckpointError, match="does not hold this segmenter's weights"):
        load_segmenter(Path(str(shipped_file()).replace("manypath_lab", "manypath")).with_name("edge.safetensors"))


def test_the_eval_command_gives_a_full_score_to_the_networks_own_answers(
    export: ModelExport, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = export.folder / "model.onnx"
    scene = street(1)._replace(image=picture(96, 128, 3))
    write([scene._replace(mask=OnnxSegmenter(file).mask(scene.image))], tmp_path / "val")
    assert main(["lab", "segmenter", "eval", str(file), "--pictures", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2].split() == ["mean", "IoU", "100.0%"]
    assert any("absent" in line for line in lines)
