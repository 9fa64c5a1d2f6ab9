"""Model repositories: what cannot be served stops the worker at the door, with the reason."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from manypath_services.worker.model import InputError, ModelError, load_model, load_repository
from tests.worker.models import colours_graph, light_graph, write_model

Damage = Callable[[Path], object]


def rewrite(name: str, old: str, new: str) -> Damage:
    def change(folder: Path) -> None:
        path = folder / name
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")

    return change


def test_a_repository_serves_every_folder_with_a_manifest(repository: Path) -> None:
    models = load_repository(repository)
    assert sorted(models) == ["colours", "prepared"]
    assert models["colours"].labels == ("red", "green", "blue: of the sky")
    assert models["colours"].providers == ("CPUExecutionProvider",)
    assert models["colours"].session.get_providers() == ["CPUExecutionProvider"]


def test_a_worker_may_serve_a_part_of_a_repository(repository: Path) -> None:
    assert list(load_repository(repository, only=["prepared"])) == ["prepared"]
    with pytest.raises(ModelError, match=r"has no \['prepaired'\], it has \['colours', 'prepared'\]"):
        load_repository(repository, only=["prepaired", "colours"])


@pytest.mark.parametrize(
    ("palette", "message"),
    [("[[1, 2, 3]]", "1 colours and 2 labels"), ("[[1, 2, 300], [0, 0, 0]]", "palette"), ("red", "palette")],
)
def test_a_palette_that_is_none_is_refused(palette: str, message: str, tmp_path: Path) -> None:
    folder = tmp_path / "light"
    metadata = {"palette": palette}
    write_model(folder, light_graph(), labels=["dark", "light"], metadata=metadata, task="segmentation")
    with pytest.raises(ModelError, match=message):
        load_model(folder)


def test_a_session_has_the_threads_it_was_given(repository: Path) -> None:
    session = load_model(repository / "colours", threads=1).session
    assert session.get_session_options().intra_op_num_threads == 1


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "model.onnx").unlink(), "cannot be read"),
        (
            lambda folder: (folder / "model.onnx").write_bytes(b"other"),
            "is not the file its manifest describes",
        ),
        (lambda folder: (folder / "model.json").write_text("{"), "says nonsense"),
        (lambda folder: (folder / "labels.txt").write_bytes(b"\xff\xfe"), "says nonsense"),
        (lambda folder: (folder / "labels.txt").write_text("one\ntwo\n"), "has 3 classes and 2 labels"),
        (rewrite("model.json", '"task"', '"tusk"'), "says nonsense"),
        (rewrite("model.json", '"name": "colours"', '"name": "colors"'), "is for 'colors'"),
        (
            rewrite("model.json", '"UINT8"', '"FP32"'),
            "disagree about inputs: image FP32 .* against image UINT8",
        ),
        (rewrite("model.json", "[-1, 3]", "[-1, 4]"), "disagree about outputs"),
        (rewrite("model.json", '"name": "scores"', '"name": "best"'), "disagree about outputs: best"),
    ],
)
def test_a_damaged_model_is_refused_with_the_reason(damage: Damage, message: str, tmp_path: Path) -> None:
    damage(write_model(tmp_path / "colours", colours_graph(), labels=["red", "green", "blue"]))
    with pytest.raises(ModelError, match=message):
        load_repository(tmp_path)


def test_a_file_that_is_no_graph_is_refused(tmp_path: Path) -> None:
    digest = "8ee4e5f9a8f8a2d8e0c2e6bb4dce5b6bbd1a7b4e2a5cbf1d92b2b6b0b6f0a7a1"
    folder = write_model(tmp_path / "colours", colours_graph(), sha256=digest)
    import hashlib

    (folder / "model.onnx").write_bytes(b"no graph")
    rewrite("model.json", digest, hashlib.sha256(b"no graph").hexdigest())(folder)
    with pytest.raises(ModelError, match="'colours' does not load"):
        load_model(folder)


@pytest.mark.parametrize("name", ["missing", "empty"])
def test_an_empty_repository_says_how_to_fill_it(name: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match="manypath lab classifier install --output"):
        load_repository(tmp_path / name)


def test_a_device_that_onnxruntime_does_not_have_is_refused(repository: Path) -> None:
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has CUDA")
    with pytest.raises(ModelError, match="'cuda' needs CUDAExecutionProvider"):
        load_model(repository / "colours", device="cuda")


def test_tensors_that_the_graph_cannot_take_are_the_callers_fault(repository: Path) -> None:
    model = load_model(repository / "prepared")
    with pytest.raises(InputError, match="'prepared' cannot take these tensors"):
        model.run({"x": np.zeros((1, 3, 8, 7), np.float32)}, ["scores"])


def test_a_device_that_is_chosen_by_itself_is_one_that_is_there(repository: Path) -> None:
    import onnxruntime

    providers = load_model(repository / "colours", device="auto").providers
    assert providers[0] in onnxruntime.get_available_providers()
