"""What is timed: a codec ready to encode one picture and to decode what it encoded.

Every subject starts from uint8 pixels in memory and ends there, does real entropy coding, and is timed
through the interface that its users call.
"""

from __future__ import annotations

import abc
import contextlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from benchmarks.picture import Pixels
from manypath.codec import Codec, StageTimings
from manypath.entropy._compressai import import_compressai
from manypath.errors import CheckpointError
from manypath_lab.evaluation.codecs.codec import Baseline
from manypath_lab.evaluation.codecs.registry import make_baselines

OURS = ("edge", "tiny")
LEARNED = {
    "bmshj2018-hyperprior": "bmshj2018_hyperprior",
    "mbt2018-mean": "mbt2018_mean",
    "cheng2020-anchor": "cheng2020_anchor",
}
CLASSICAL = {"avif": 50, "vvc": 29}  # baseline and the quality that costs about as much as our level 4
LEARNED_QUALITY = 4
OUR_QUALITY = 4.0


class Variant(NamedTuple):
    """How a network computes.

    Attributes:
        dtype: ``float32`` or ``bfloat16``.
        channels_last: Memory format of a CompressAI model; ours chooses its own.
    """

    dtype: str = "float32"
    channels_last: bool = False

    def __str__(self) -> str:
        name = {"float32": "fp32", "bfloat16": "bf16"}[self.dtype]
        return f"{name} channels-last" if self.channels_last else name


class Subject(abc.ABC):
    """A codec that can be timed.

    Attributes:
        note: What a reader of its figures should know.
    """

    note = ""

    @abc.abstractmethod
    def encode(self, images: Sequence[Pixels]) -> Any:
        """Encode pictures of one size; return what decode needs."""

    @abc.abstractmethod
    def decode(self, encoded: Any) -> list[Pixels]:
        """Decode what encode returned."""

    @abc.abstractmethod
    def size(self, encoded: Any) -> int:
        """Return the bytes of one picture."""

    def stages(self) -> dict[str, float]:
        """Return the seconds spent per stage since the last call; empty where a subject has none."""
        return {}


class OurSubject(Subject):
    """This project's codec through its front door."""

    def __init__(self, name: str, variant: Variant, device: str) -> None:
        try:
            self._codec = Codec.load(name, device=device, dtype=variant.dtype)
        except CheckpointError:
            self._codec = Codec.load(f"{name}-random", device=device, dtype=variant.dtype)
            self.note = "random weights (none are shipped)"
        self._timings = StageTimings()

    def encode(self, images: Sequence[Pixels]) -> list[bytes]:
        """Return one bitstream per picture."""
        return self._codec.encode_batch(images, quality=OUR_QUALITY, timings=self._timings)

    def decode(self, encoded: list[bytes]) -> list[Pixels]:
        """Return one picture per bitstream."""
        return self._codec.decode_batch(encoded, timings=self._timings)

    def size(self, encoded: list[bytes]) -> int:
        """Return the bytes of the first bitstream."""
        return len(encoded[0])

    def stages(self) -> dict[str, float]:
        """Return the seconds per stage since the last call."""
        spent = dict(self._timings.seconds)
        self._timings.seconds.clear()
        return spent


class LearnedSubject(Subject):
    """A model of CompressAI's zoo with random weights: its speed does not depend on what it has learned."""

    note = "random weights"

    def __init__(self, name: str, variant: Variant, device: str) -> None:
        import_compressai()
        from compressai import zoo

        torch.manual_seed(0)
        build = getattr(zoo, LEARNED[name])
        self._net = build(quality=LEARNED_QUALITY, pretrained=False).eval().to(device)
        self._net.update(force=True)
        self._variant = variant
        self._device = device
        self._format = torch.channels_last if variant.channels_last else torch.contiguous_format
        self._net.to(memory_format=self._format)

    def _computing(self) -> contextlib.AbstractContextManager[None]:
        if self._variant.dtype == "bfloat16":
            return torch.autocast(self._device, torch.bfloat16)
        return contextlib.nullcontext()

    def encode(self, images: Sequence[Pixels]) -> dict[str, Any]:
        """Return CompressAI's strings and shape for one batch."""
        height, width, _ = images[0].shape
        with torch.inference_mode(), self._computing():
            x = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float().div_(255.0).to(self._device)
            padded = torch.nn.functional.pad(x, (0, -width % 64, 0, -height % 64), mode="replicate")
            encoded: dict[str, Any] = self._net.compress(padded.contiguous(memory_format=self._format))
        return {**encoded, "height": height, "width": width}

    def decode(self, encoded: dict[str, Any]) -> list[Pixels]:
        """Return the decoded pictures."""
        with torch.inference_mode(), self._computing():
            x_hat = self._net.decompress(encoded["strings"], encoded["shape"])["x_hat"]
            pixels = x_hat.float().clamp_(0.0, 1.0).mul_(255.0).round_().byte().permute(0, 2, 3, 1).cpu().numpy()
        return list(pixels[:, : encoded["height"], : encoded["width"]])

    def size(self, encoded: dict[str, Any]) -> int:
        """Return the bytes of the first picture's strings."""
        return sum(len(strings[0]) for strings in encoded["strings"])


class ClassicalSubject(Subject):
    """A classical codec, as in the rate-distortion measurement."""

    def __init__(self, name: str, threads: int) -> None:
        self._baseline: Baseline = make_baselines([name], threads=threads)[0]
        self._quality = CLASSICAL[name]
        self.note = self._baseline.settings(self._quality)
        if name == "vvc":
            self.note += "; includes the start of an ffmpeg process"

    def encode(self, images: Sequence[Pixels]) -> list[bytes]:
        """Return one file per picture."""
        return [self._baseline.encode(image, self._quality) for image in images]

    def decode(self, encoded: list[bytes]) -> list[Pixels]:
        """Return one picture per file."""
        return [self._baseline.decode(data) for data in encoded]

    def size(self, encoded: list[bytes]) -> int:
        """Return the bytes of the first file."""
        return len(encoded[0])


def make_subject(name: str, variant: Variant, *, threads: int, device: str) -> Subject:
    """Return the subject of that name.

    Raises:
        KeyError: No subject of that name.
    """
    if name in OURS:
        return OurSubject(name, variant, device)
    if name in LEARNED:
        return LearnedSubject(name, variant, device)
    if name in CLASSICAL:
        return ClassicalSubject(name, threads)
    raise KeyError(name)
