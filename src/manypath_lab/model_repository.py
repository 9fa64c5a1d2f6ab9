"""Model repositories, the worker's way of finding models: built once, kept in the user's cache, checked by digest.

A repository holds one folder per model, with `model.onnx`, `labels.txt` and `model.json`, which carries the digest.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import onnx


class TensorNote(NamedTuple):
    """An input or output as the manifest states it.

    Attributes:
        name: in the graph.
        datatype: in the Open Inference Protocol's words.
        shape: -1 stands for an axis of any length.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class ServedModel:
    """All that a repository says of a model, and how to make it.

    Attributes:
        name: of the model, and of its folder.
        version: a copy of another version is built again.
        task: "classification", "segmentation" or "detection".
        labels: class names by index.
        inputs: of the graph.
        outputs: of the graph.
        source: where the weights come from.
        licence: of the weights.
        build: makes the graph.
        notices: texts that every copy of the weights must carry along, by file name.
    """

    name: str
    version: str
    task: str
    labels: tuple[str, ...]
    inputs: tuple[TensorNote, ...]
    outputs: tuple[TensorNote, ...]
    source: str
    licence: str
    build: Callable[[], onnx.ModelProto]
    notices: Mapping[str, str] = field(default_factory=dict)


class ModelExport(NamedTuple):
    """Where a model lies and whether it had to be built.

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


def provide_model(model: ServedModel, repository: Path | None = None, *, force: bool = False) -> ModelExport:
    """Puts a model into a repository, from the cache if a whole copy is there.

    Args:
        model: which.
        repository: default: `default_repository()`.
        force: build even if a whole copy is there.
    """
    cached = default_repository() / model.name
    sha256 = None if force else _digest_if_whole(cached, model)
    built = sha256 is None
    if sha256 is None:
        sha256 = write_model(model, cached)
    if repository is None or (folder := Path(repository) / model.name).resolve() == cached.resolve():
        return ModelExport(cached, sha256, built)
    if _digest_if_whole(folder, model) != sha256:
        _replace_folder(folder, lambda fresh: shutil.copytree(cached, fresh, dirs_exist_ok=True))
    return ModelExport(folder, sha256, built)


def write_model(model: ServedModel, folder: Path) -> str:
    """Builds a model into a folder; returns the digest of model.onnx."""
    graph = model.build().SerializeToString(deterministic=True)
    sha256 = hashlib.sha256(graph).hexdigest()
    manifest = {
        "name": model.name,
        "version": model.version,
        "platform": "onnxruntime_onnx",
        "task": model.task,
        "inputs": [note._asdict() for note in model.inputs],
        "outputs": [note._asdict() for note in model.outputs],
        "sha256": sha256,
        "source": model.source,
        "licence": model.licence,
    }

    def fill(fresh: Path) -> None:
        (fresh / "model.onnx").write_bytes(graph)
        (fresh / "labels.txt").write_text("\n".join(model.labels) + "\n", encoding="utf-8")
        (fresh / "model.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
        for name, text in model.notices.items():
            (fresh / name).write_text(text, encoding="utf-8")

    _replace_folder(folder, fill)
    return sha256


def _digest_if_whole(folder: Path, model: ServedModel) -> str | None:
    """The digest of a complete copy of this version, or None."""
    try:
        manifest = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        graph = (folder / "model.onnx").read_bytes()
        names = (folder / "labels.txt").read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return None
    sha256 = hashlib.sha256(graph).hexdigest()
    whole = (
        isinstance(manifest, dict)
        and manifest.get("sha256") == sha256
        and manifest.get("version") == model.version
        and manifest.get("source") == model.source
        and names == list(model.labels)
        and all((folder / name).is_file() for name in model.notices)
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
