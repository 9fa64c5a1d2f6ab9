"""Models on disk and in memory: a repository folder, its manifests, and onnxruntime sessions."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy.typing as npt
import onnxruntime
from grpc import StatusCode
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from manypath_services.common.entry import StartError
from manypath_services.common.errors import ServiceError
from manypath_services.worker.external import refers_outside
from manypath_services.worker.time_limit import limited

Array = npt.NDArray[Any]
Device = Literal["auto", "cpu", "cuda"]

_Shade = Annotated[int, Field(ge=0, le=255)]
_PALETTE = TypeAdapter(list[tuple[_Shade, _Shade, _Shade]])
_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
_ONNX_DATATYPES = {
    "tensor(bool)": "BOOL",
    "tensor(float16)": "FP16",
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    **{f"tensor({sign.lower()}int{bits})": f"{sign}INT{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64)},
}


class ModelError(StartError):
    """A model cannot be served: the worker does not start."""


class UnknownModelError(ServiceError):
    """The caller asks for a model, or a version of it, that is not here."""

    code = StatusCode.NOT_FOUND


class InputError(ServiceError):
    """The caller's tensors do not fit the model."""

    code = StatusCode.INVALID_ARGUMENT


class TensorSpec(BaseModel):
    """One input or output of a model.

    Attributes:
        name: of the tensor in the ONNX graph.
        datatype: in the Open Inference Protocol's words.
        shape: -1 stands for an axis of any length.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    datatype: str
    shape: tuple[Annotated[int, Field(ge=-1)], ...]

    def accepts(self, datatype: str, shape: Sequence[int]) -> bool:
        """Whether a tensor may be fed in."""
        return (
            datatype == self.datatype
            and len(shape) == len(self.shape)
            and all(want in (-1, have) for want, have in zip(self.shape, shape, strict=True))
        )

    def __str__(self) -> str:
        return f"{self.datatype} {list(self.shape)}"


class Manifest(BaseModel):
    """What `model.json` says.

    Attributes:
        name: of the model, and of its folder.
        version: the only one that is served.
        platform: as the protocol's metadata reports it.
        task: what the outputs are good for.
        inputs: in the ONNX graph's order.
        outputs: likewise.
        sha256: hexadecimal digest of model.onnx.
        source: where the weights come from.
        licence: of the weights.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1)
    version: str = "1"
    platform: str = "onnxruntime_onnx"
    task: Literal["classification", "segmentation", "detection", "other"] = "other"
    inputs: tuple[TensorSpec, ...] = Field(min_length=1)
    outputs: tuple[TensorSpec, ...] = Field(min_length=1)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    source: str = ""
    licence: str = ""


class Model(NamedTuple):
    """A model that is ready to run.

    Attributes:
        manifest: checked against the file and the graph.
        labels: class names by index; empty if the folder has no labels.txt.
        colours: of the classes, "#rrggbb" by index; empty if the graph's metadata have no `palette`.
        session: onnxruntime's; its `run` may be called from any thread.
        providers: the execution providers the session really has, the preferred one first.
    """

    manifest: Manifest
    labels: tuple[str, ...]
    colours: tuple[str, ...]
    session: onnxruntime.InferenceSession
    providers: tuple[str, ...]

    @property
    def batches(self) -> bool:
        """Whether several requests can be put together: every input and output has a first axis of any length."""
        specs = (*self.manifest.inputs, *self.manifest.outputs)
        return all(spec.shape and spec.shape[0] == -1 for spec in specs)

    def run(self, inputs: Mapping[str, Array], outputs: Sequence[str], *, seconds: float = 3600.0) -> list[Array]:
        """Runs the network.

        Args:
            inputs: every input by name, already accepted by its `TensorSpec`.
            outputs: names of the wanted outputs.
            seconds: that it may take.

        Returns:
            The outputs, in the order asked for.

        Raises:
            InputError: the graph cannot work on these shapes.
            ExpiredError: it took longer.
            AbandonedError: nobody waited for it any more.
        """
        try:
            with limited(self.manifest.name, seconds) as options:
                results: list[Array] = self.session.run(list(outputs), dict(inputs), options)
        except InvalidArgument as err:
            raise InputError(f"model {self.manifest.name!r} cannot take these tensors: {err}") from err
        return results


def load_repository(
    folder: Path, *, only: Collection[str] = (), device: Device = "cpu", threads: int = 1
) -> dict[str, Model]:
    """Loads the models of a repository: each sub-folder that has a model.json.

    Args:
        folder: the repository.
        only: names of those to load; empty is all.
        device: "cpu", "cuda", or "auto" for the one that there is.
        threads: of each session. One by default: processes that share cores slow each other down far more
            than a second thread helps.

    Returns:
        The models by name.

    Raises:
        ModelError: there is none, or one of them cannot be served.
    """
    if not folder.is_dir():
        raise ModelError(
            f"model repository {folder} is not a folder; `manypath lab classifier install --output {folder}` makes one"
        )
    folders = sorted(path.parent for path in folder.glob("*/model.json"))
    if not folders:
        raise ModelError(
            f"model repository {folder} holds no model, expected <name>/model.json and <name>/model.onnx; "
            f"`manypath lab classifier install --output {folder}` puts the default one there"
        )
    missing = sorted(set(only) - {path.name for path in folders})
    if missing:
        raise ModelError(f"model repository {folder} has no {missing}, it has {[path.name for path in folders]}")
    wanted = [path for path in folders if not only or path.name in only]
    return {path.name: load_model(path, device=device, threads=threads) for path in wanted}


def load_model(folder: Path, *, device: Device = "cpu", threads: int = 1) -> Model:
    """Loads one model after checking its digest, and checks its manifest against the graph.

    Args:
        folder: holds model.json, model.onnx and, for a classifier or segmenter, labels.txt.
        device: "cpu", "cuda", or "auto" for the one that there is.
        threads: of the session.

    Raises:
        ModelError: a file is missing, the digest differs, the graph does not load or contradicts the
            manifest, or the device is not to be had.
    """
    try:
        manifest = Manifest.model_validate_json((folder / "model.json").read_bytes())
        graph = (folder / "model.onnx").read_bytes()
        labels_path = folder / "labels.txt"
        labels = labels_path.read_text(encoding="utf-8").splitlines() if labels_path.exists() else []
    except OSError as err:
        raise ModelError(f"model {folder.name!r} cannot be read: {err}") from err
    except (ValidationError, UnicodeDecodeError) as err:
        raise ModelError(f"model {folder.name!r} has a file that says nonsense: {err}") from err
    if manifest.name != folder.name:
        raise ModelError(f"{folder / 'model.json'} is for {manifest.name!r}, expected its folder's name")
    digest = hashlib.sha256(graph).hexdigest()
    if digest != manifest.sha256:
        raise ModelError(
            f"{folder / 'model.onnx'} is not the file its manifest describes: sha256 is {digest}, "
            f"model.json says {manifest.sha256}; build it again"
        )
    session = _open_session(folder.name, graph, device=device, threads=threads)
    _check_graph(manifest, session, len(labels))
    colours = _palette(manifest, session)
    if len(colours) not in (0, len(labels)):
        raise ModelError(f"model {manifest.name!r} has {len(colours)} colours and {len(labels)} labels")
    return Model(manifest, tuple(labels), colours, session, tuple(session.get_providers()))


def _open_session(name: str, graph: bytes, *, device: Device, threads: int) -> onnxruntime.InferenceSession:
    if refers_outside(graph):
        raise ModelError(
            f"model {name!r} keeps weights in files beside model.onnx, which its digest does not cover; "
            "save it as one file (onnx.save with save_as_external_data=False)"
        )
    if device == "auto":  # what was found is logged with the model
        try:
            return _open_session(name, graph, device="cuda", threads=threads)
        except ModelError:
            return _open_session(name, graph, device="cpu", threads=threads)
    options = onnxruntime.SessionOptions()
    # What a large picture needed would stay: the arena never gives back. The C library's allocator is asked to.
    options.enable_cpu_mem_arena = False
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Idle threads that spin at a barrier steal the core from the process beside them.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    wanted = _PROVIDERS[device]
    available = onnxruntime.get_available_providers()
    if wanted not in available:
        raise ModelError(_no_device(device, wanted, available))
    try:
        session = onnxruntime.InferenceSession(graph, options, providers=[wanted])
    except Exception as err:  # onnxruntime raises a dozen unrelated classes
        raise ModelError(f"model {name!r} does not load: {err}") from err
    # An available provider may still fail to start, and onnxruntime then falls back to the CPU in silence.
    if session.get_providers()[0] != wanted:
        raise ModelError(_no_device(device, wanted, session.get_providers()))
    return session


def _no_device(device: Device, wanted: str, found: Sequence[str]) -> str:
    return (
        f"device {device!r} needs {wanted}, this onnxruntime has {list(found)}; "
        "install onnxruntime-gpu and its CUDA libraries, or choose the cpu"
    )


def _check_graph(manifest: Manifest, session: onnxruntime.InferenceSession, labels: int) -> None:
    for kind, specs, tensors in (
        ("inputs", manifest.inputs, session.get_inputs()),
        ("outputs", manifest.outputs, session.get_outputs()),
    ):
        graph = [
            TensorSpec(
                name=tensor.name,
                datatype=_ONNX_DATATYPES.get(tensor.type, tensor.type),
                shape=tuple(axis if isinstance(axis, int) else -1 for axis in tensor.shape),
            )
            for tensor in tensors
        ]
        if graph != list(specs):
            raise ModelError(
                f"model {manifest.name!r}: model.json and model.onnx disagree about {kind}: "
                f"{_describe(specs)} against {_describe(graph)}"
            )
    classes = manifest.outputs[0].shape[-1] if manifest.outputs[0].shape else -1
    if manifest.task == "classification" and labels not in (0, classes) and classes != -1:
        raise ModelError(f"model {manifest.name!r} has {classes} classes and {labels} labels")


def _palette(manifest: Manifest, session: onnxruntime.InferenceSession) -> tuple[str, ...]:
    """The graph's metadata property `palette`: a JSON list of [red, green, blue], 0..255, by class index."""
    text = session.get_modelmeta().custom_metadata_map.get("palette", "[]")
    try:
        return tuple(f"#{bytes(colour).hex()}" for colour in _PALETTE.validate_json(text))
    except ValidationError as err:
        raise ModelError(f"model {manifest.name!r} has a palette that is none: {text[:80]!r}") from err


def _describe(specs: Sequence[TensorSpec]) -> str:
    return ", ".join(f"{spec.name} {spec}" for spec in specs)
