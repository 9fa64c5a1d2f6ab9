"""A frozen network that a task path is trained for, and how far its answer is from the one on the original."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from manypath.errors import ConfigError

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

    def distance(self, answer: Answer, target: Answer) -> Tensor:
        """Return how far an answer is from its target, a mean over samples."""
        return answer_distance(answer, target)


def _flatten(out: Any) -> list[Tensor]:
    if isinstance(out, Tensor):
        return [out]
    if isinstance(out, dict):
        out = list(out.values())
    if isinstance(out, list | tuple):
        return [tensor for part in out for tensor in _flatten(part)]
    raise ConfigError(f"a network must give tensors, in tuples, lists or dicts if it likes; got {type(out).__name__}")


def answer_distance(answer: Answer, target: Answer) -> Tensor:
    """Return how far an answer is from its target, a mean over samples and outputs.

    Outputs with classes on axis 1 ([B, K] or [B, K, h, w]), as logits or probabilities, are compared by the
    Kullback-Leibler divergence in nats; others by the squared error relative to the target's variance. Of each
    sample's mean the root is taken: a distance, not its square, so that the last points at high quality still count.
    """
    total = answer[0].new_zeros(())
    for ours, theirs in zip(answer, target, strict=True):
        squared = _divergence(ours, theirs).clamp_min(0.0)
        total = total + ((squared + FLOOR).sqrt() - FLOOR**0.5).mean()
    return total / len(answer)


def _divergence(ours: Tensor, target: Tensor) -> Tensor:
    """Return one value per sample, [B]."""
    if target.dim() not in (2, 4) or target.shape[1] < 2:
        return (ours - target).square().flatten(1).mean(1) / target.var().clamp_min(1e-8)
    probabilities = bool((target >= 0).all()) and bool(torch.allclose(target.sum(1), target.new_ones(()), atol=1e-3))
    if probabilities:
        log_ours, log_target = ours.clamp_min(1e-7).log(), target.clamp_min(1e-7).log()
    else:
        log_ours, log_target = ours.log_softmax(1), target.log_softmax(1)
    return (log_target.exp() * (log_target - log_ours)).sum(1).reshape(len(ours), -1).mean(1)
