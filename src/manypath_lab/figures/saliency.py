"""FullGrad by the library grad-cam, with its sums taken before the enlargement instead of after.

The library enlarges each channel's map to the picture's size and then adds them up, thousands of maps for
EfficientNet-Lite0. Enlarging is linear, so the sum of a layer's channels is enlarged here: the same map, sooner.
``tests/figures`` compares the two. Five pictures took 8 seconds of one core, loading included.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from manypath.entropy._compressai import import_torchvision

_TINY = 1e-7  # keeps the library's division from zero by zero


def full_gradient(network: nn.Module, x: Tensor, class_index: int) -> npt.NDArray[np.float32]:
    """Return the importance of each position for a class.

    Args:
        network: with batch normalisation or biased convolutions, in evaluation mode.
        x: float32 [B, 3, H, W], as the network takes it.
        class_index: the logit to explain.

    Returns:
        float32 [B, H, W], each map scaled to 0..1.
    """
    import_torchvision()  # grad-cam imports it, but only to offer transforms that nothing here uses
    from pytorch_grad_cam import FullGrad
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    class SummedFullGrad(FullGrad):  # type: ignore[misc]  # the library has no types
        def compute_cam_per_layer(self, input_tensor: Tensor, _targets: Any, _smooth: bool) -> npt.NDArray[np.float32]:
            assert input_tensor.grad is not None  # the library has just asked for it
            maps = [(input_tensor.grad * input_tensor).detach().abs()]
            for bias, gradient in zip(self.bias_data, self.activations_and_grads.gradients, strict=True):
                maps.append((torch.from_numpy(bias)[:, None, None] * gradient).abs())
            return _summed(maps, input_tensor.shape[-2:]).numpy()[:, None]

    with SummedFullGrad(network, []) as explain:
        maps = explain(x, [ClassifierOutputTarget(class_index)] * len(x))
    return np.asarray(maps, dtype=np.float32)


def _summed(maps: Sequence[Tensor], size: Sequence[int]) -> Tensor:
    """Scale each channel of each [B, C, h, w] to 0..1 and return the sum of all at full size, [B, H, W]."""
    total = torch.zeros(())
    for one in maps:
        scaled = one - one.amin((2, 3), keepdim=True)
        scaled = scaled / (_TINY + scaled.amax((2, 3), keepdim=True))
        layer = scaled.sum(1, keepdim=True)  # [B, 1, h, w]
        total = total + F.interpolate(layer, tuple(size), mode="bilinear", align_corners=False)[:, 0]
    return total
