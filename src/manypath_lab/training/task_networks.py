"""The frozen networks that task paths are trained for, and how far an answer is from the one on the original."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from manypath.entropy._compressai import import_torchvision
from manypath.errors import ConfigError
from manypath_lab.training.factories import make_network

Answer = Sequence[Tensor]
FLOOR = 1e-3  # below which a divergence counts as noise


class TaskNetwork(nn.Module):
    """A frozen network on pictures float32 [B, 3, H, W] in [0, 1]; gradients pass through it to the picture.

    Args:
        network: takes ``(x - mean) / scale``, in the layout that ``channels_last`` says.
        mean: on the 0..1 scale.
        scale: on the 0..1 scale.
        channels_last: whether it takes [B, H, W, 3].
    """

    def __init__(
        self, network: nn.Module, *, mean: float = 0.0, scale: float = 1.0, channels_last: bool = False
    ) -> None:
        super().__init__()
        self.network = network.eval().requires_grad_(False)
        self._mean, self._scale, self._channels_last = mean, scale, channels_last

    def forward(self, x: Tensor) -> Answer:
        """Return every floating-point output of the network."""
        x = (x - self._mean) / self._scale
        out: Any = self.network(x.permute(0, 2, 3, 1) if self._channels_last else x)
        tensors = [t for t in _flatten(out) if t.is_floating_point()]
        if not tensors:
            raise ConfigError("the network gives no floating-point output: nothing can be learned from its answer")
        return tensors

    def distance(self, answer: Answer, wanted: Answer) -> Tensor:
        """Return how far an answer is from the wanted one, a mean over samples."""
        return answer_distance(answer, wanted)


def _flatten(out: Any) -> list[Tensor]:
    if isinstance(out, Tensor):
        return [out]
    if isinstance(out, dict):
        out = list(out.values())
    if isinstance(out, list | tuple):
        return [tensor for part in out for tensor in _flatten(part)]
    raise ConfigError(f"a network must give tensors, in tuples, lists or dicts if it likes; got {type(out).__name__}")


def load_task_network(name: str) -> TaskNetwork:
    """Return ``classifier``, ``segmenter``, ``detector``, a network from an ONNX file, or ``module:factory``'s.

    A factory takes nothing and returns a torch module on float32 [B, 3, H, W] in [0, 1]; if that is a ``TaskNetwork``,
    its own ``distance`` is taken. An ONNX file's input may be
    float, then it takes the same, or uint8, then it takes 0..255; [B, 3, H, W] or [B, H, W, 3].

    Raises:
        ConfigError: there is no such network, or it cannot be used; the message says what to do.
    """
    if name == "classifier":
        from manypath_lab.classifier.networks import load_network

        return TaskNetwork(load_network(), mean=0.5, scale=0.5)
    if name == "segmenter":
        from manypath_lab.segmenter.weights import load_segmenter

        return TaskNetwork(load_segmenter())
    if name == "detector":
        from manypath_lab.detector.teacher import DetectorTeacher

        return DetectorTeacher()
    if name.endswith(".onnx"):
        return _from_onnx(Path(name))
    if ":" not in name:
        raise ConfigError(f"network must be classifier, segmenter, detector, FILE.onnx or module:factory; got {name!r}")
    made = make_network(name)
    return made if isinstance(made, TaskNetwork) else TaskNetwork(made)


def _from_onnx(file: Path) -> TaskNetwork:
    import_torchvision()  # before onnx2torch does, which would fail on a CPU build of torch
    try:
        import onnx
        from onnx2torch import convert
    except ImportError as err:
        raise ConfigError(f"{err.name} is needed to learn from an ONNX file; pip install 'manypath[lab]'") from err
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


def answer_distance(answer: Answer, wanted: Answer) -> Tensor:
    """Return how far an answer is from the wanted one, a mean over samples and outputs.

    Outputs with classes on axis 1 ([B, K] or [B, K, h, w]), as logits or probabilities, are compared by the
    Kullback-Leibler divergence in nats; others by the squared error relative to the wanted output's variance. Of each
    sample's mean the root is taken: a distance, not its square, so that the last points at high quality still count.
    """
    total = answer[0].new_zeros(())
    for ours, theirs in zip(answer, wanted, strict=True):
        squared = _divergence(ours, theirs).clamp_min(0.0)
        total = total + ((squared + FLOOR).sqrt() - FLOOR**0.5).mean()
    return total / len(answer)


def _divergence(ours: Tensor, wanted: Tensor) -> Tensor:
    """Return one value per sample, [B]."""
    if wanted.dim() not in (2, 4) or wanted.shape[1] < 2:
        return (ours - wanted).square().flatten(1).mean(1) / wanted.var().clamp_min(1e-8)
    probabilities = bool((wanted >= 0).all()) and bool(torch.allclose(wanted.sum(1), wanted.new_ones(()), atol=1e-3))
    if probabilities:
        log_ours, log_wanted = ours.clamp_min(1e-7).log(), wanted.clamp_min(1e-7).log()
    else:
        log_ours, log_wanted = ours.log_softmax(1), wanted.log_softmax(1)
    return (log_wanted.exp() * (log_wanted - log_ours)).sum(1).reshape(len(ours), -1).mean(1)
