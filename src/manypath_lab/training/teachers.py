"""The networks that task paths are trained for, by name: ours, an ONNX file, or anybody's factory."""

from __future__ import annotations

from pathlib import Path

from manypath.entropy._compressai import import_torchvision
from manypath.errors import ConfigError
from manypath_lab.training.factories import make_network
from manypath_lab.training.task_networks import TaskNetwork


def load_task_network(name: str) -> TaskNetwork:
    """Return a network of the project's, one from an ONNX file, or a factory's.

    The project's are ``classifier`` (``classifier-lite1`` and so on for the larger ones), ``segmenter`` (or
    ``segmenter=FILE`` for one that ``manypath lab segmenter export`` wrote) and ``detector``; a file ends in ``.onnx``;
    a factory is written ``module:factory``.

    A factory takes nothing and returns a torch module on float32 [B, 3, H, W] in [0, 1]; if that is a ``TaskNetwork``,
    its own ``distance`` is taken. An ONNX file's input may be
    float, then it takes the same, or uint8, then it takes 0..255; [B, 3, H, W] or [B, H, W, 3].

    Raises:
        ConfigError: there is no such network, or it cannot be used; the message says what to do.
    """
    if name.partition("-")[0] == "classifier":
        from manypath_lab.classifier.networks import load_network

        return TaskNetwork(load_network(name.partition("-")[2] or "lite0"), mean=0.5, scale=0.5)
    if name.partition("=")[0] == "segmenter":
        from manypath_lab.segmenter.weights import load_segmenter

        file = name.partition("=")[2]
        return TaskNetwork(load_segmenter(Path(file) if file else None))
    if name == "detector":
        from manypath_lab.detector.teacher import DetectorTeacher

        return DetectorTeacher()
    if name.endswith(".onnx"):
        return _from_onnx(Path(name))
    if ":" not in name:
        known = "classifier, segmenter[=FILE], detector, FILE.onnx or module:factory"
        raise ConfigError(f"network must be {known}; got {name!r}")
    made = make_network(name)
    return made if isinstance(made, TaskNetwork) else TaskNetwork(made)


def _from_onnx(file: Path) -> TaskNetwork:
    import_torchvision()  # before onnx2torch does, which would fail on a CPU build of torch
    try:
        import onnx
        from onnx2torch import convert
    except ImportError as err:
        raise ConfigError(f"{err.name} is needed to learn from an ONNX file; install the extra 'lab'") from err
    try:
        model = onnx.load(str(file))
        weights = {tensor.name for tensor in model.graph.initializer}
        (given,) = [value for value in model.graph.input if value.name not in weights]
        network = convert(model)
    except (OSError, ValueError, NotImplementedError, RuntimeError) as err:
        raise ConfigError(f"{file} cannot be turned into a torch network: {err}") from err
    kind = given.type.tensor_type
    sides = [axis.dim_value for axis in kind.shape.dim]
    if len(sides) != 4 or 3 not in (sides[1], sides[3]):
        raise ConfigError(f"{file}: the input must be [B, 3, H, W] or [B, H, W, 3], got {sides}")
    eight_bit = kind.elem_type == onnx.TensorProto.UINT8
    return TaskNetwork(network, scale=1 / 255 if eight_bit else 1.0, channels_last=sides[1] != 3)
