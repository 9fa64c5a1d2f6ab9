"""What can be profiled: our models, the published network step by step, and the networks of CompressAI's zoo."""

from __future__ import annotations

import abc
from collections import defaultdict
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from manypath.codec import Codec, StageTimings
from manypath.entropy._compressai import import_compressai
from manypath_lab.profile import published_steps
from manypath_lab.profile.count import HEIGHT, MAIN, SHARES, WIDTH, Part, kilomacs, parameters, parts

BASELINES = {
    "bmshj2018-hyperprior": "bmshj2018_hyperprior",
    "mbt2018-mean": "mbt2018_mean",
    "mbt2018": "mbt2018",
    "cheng2020-anchor": "cheng2020_anchor",
}
BASELINE_QUALITY = 4  # of eight, in the zoo; the widths differ above it
OUR_QUALITY = 4.0
_PEER_PIXELS = 64  # sides are padded to multiples of it
_PEER_STAGES = {
    "g_a": "analysis",
    "h_a": "hyper-analysis",
    "h_s": "hyper-synthesis",
    "context_prediction": "context",
    "entropy_parameters": "context",
    "g_s": "synthesis",
}

Pixels = npt.NDArray[np.uint8]


class Subject(abc.ABC):
    """A model whose costs can be told.

    Attributes:
        note: what a reader of its figures should know; may be empty.
    """

    note = ""

    @abc.abstractmethod
    def parts(self) -> list[Part]:
        """Return its stages. For a subject on the CPU in float32."""

    @abc.abstractmethod
    def encode(self, image: Pixels) -> dict[str, float]:
        """Encode uint8 [H, W, 3] and keep the result; return seconds per stage."""

    @abc.abstractmethod
    def decode(self) -> dict[str, float]:
        """Decode what was encoded, on the main path; return seconds per stage."""

    def decode_paths(self) -> dict[str, float]:
        """Return the seconds of the synthesis for each side path and share of tokens on the main path."""
        return {}


class Ours(Subject):
    """A model of this project, through the codec's front door."""

    def __init__(self, name: str, device: str, dtype: str) -> None:
        if name in published_steps.STEPS:
            self._codec = Codec(published_steps.released(name), name, device=device, dtype=dtype)
            self.note = f"{published_steps.STEPS[name]}; untrained"
        else:
            self._codec = Codec.load(name, device=device, dtype=dtype)
            self.note = "untrained" if "-random" in name else ""
        self._stream = b""

    def parts(self) -> list[Part]:
        """Return its stages, with every side path."""
        return parts(self._codec._model, tuple(path for path, _ in self._codec.config.sides))

    def encode(self, image: Pixels) -> dict[str, float]:
        """Encode at quality 4."""
        timings = StageTimings()
        self._stream = self._codec.encode(image, quality=OUR_QUALITY, timings=timings)
        return timings.seconds

    def decode(self) -> dict[str, float]:
        """Decode on the main path."""
        timings = StageTimings()
        self._codec.decode(self._stream, path=self._codec.main_path, timings=timings)
        return timings.seconds

    def decode_paths(self) -> dict[str, float]:
        """Return the synthesis' seconds, path by path."""
        times = {}
        for path, _ in self._codec.config.sides:
            for share in SHARES[1:]:
                timings = StageTimings()
                self._codec.decode(self._stream, path=path, task_share=1.0 - share, timings=timings)
                times[f"synthesis, {path}, rho {share:g}"] = timings.seconds["synthesis"]
        return times


class Baseline(Subject):
    """A network of CompressAI's zoo with untrained weights: its costs do not depend on what it has learned."""

    note = f"CompressAI, quality {BASELINE_QUALITY}; untrained"

    def __init__(self, name: str, device: str, dtype: str) -> None:
        import_compressai()
        from compressai import zoo

        torch.manual_seed(0)
        self._net: Any = getattr(zoo, BASELINES[name])(quality=BASELINE_QUALITY, pretrained=False).eval().to(device)
        self._net.update(force=True)
        self._net.to(memory_format=torch.channels_last)
        self._device = device
        self._autocast = dtype == "bfloat16"
        self._encoded: dict[str, Any] = {}
        self._seconds: dict[str, float] = defaultdict(float)
        self._begun = 0.0
        for module, stage in _PEER_STAGES.items():
            if hasattr(self._net, module):
                getattr(self._net, module).register_forward_pre_hook(self._begin)
                getattr(self._net, module).register_forward_hook(self._end(stage))

    def parts(self) -> list[Part]:
        """Return its stages; a masked convolution counts as the dense one that computes it."""
        net = self._net
        x = torch.zeros(1, 3, HEIGHT, WIDTH, device=self._device)
        with torch.no_grad():
            y = net.g_a(x)
            z = net.h_a(y)
            hyper = net.h_s(z)
        context = [getattr(net, name) for name in ("context_prediction", "entropy_parameters") if hasattr(net, name)]

        def walk() -> None:
            near = net.context_prediction(y)
            net.entropy_parameters(torch.cat((hyper, near), 1))

        parts = [
            Part("analysis", "", None, parameters(net.g_a), kilomacs(lambda: net.g_a(x))),
            Part("hyper-analysis", "", None, parameters(net.h_a), kilomacs(lambda: net.h_a(y))),
            Part("hyper-synthesis", "", None, parameters(net.h_s), kilomacs(lambda: net.h_s(z))),
            Part("context", "", None, parameters(*context), kilomacs(walk) if context else 0.0),
            Part("synthesis", MAIN, None, parameters(net.g_s), kilomacs(lambda: net.g_s(y))),
        ]
        rest = parameters(net) - sum(part.parameters for part in parts)
        return [*parts, Part("prior of the hyper-latent", "", None, rest, 0.0)]

    def encode(self, image: Pixels) -> dict[str, float]:
        """Compress the picture, padded as the networks need it."""
        height, width, _ = image.shape
        x = torch.from_numpy(image).permute(2, 0, 1)[None].float().div_(255.0).to(self._device)
        x = nn.functional.pad(x, (0, -width % _PEER_PIXELS, 0, -height % _PEER_PIXELS), mode="replicate")
        return self._timed(
            lambda: self._encoded.update(self._net.compress(x.contiguous(memory_format=torch.channels_last)))
        )

    def decode(self) -> dict[str, float]:
        """Decompress it."""
        return self._timed(lambda: self._net.decompress(self._encoded["strings"], self._encoded["shape"]))

    def _timed(self, work: Any) -> dict[str, float]:
        self._seconds.clear()
        begin = perf_counter()
        with torch.inference_mode(), torch.autocast(self._device, torch.bfloat16, enabled=self._autocast):
            work()
        self._synchronise()
        total = perf_counter() - begin
        return {**self._seconds, "coding": total - sum(self._seconds.values())}

    def _begin(self, _module: nn.Module, _inputs: tuple[Tensor, ...]) -> None:
        self._synchronise()
        self._begun = perf_counter()

    def _end(self, stage: str) -> Any:
        def end(_module: nn.Module, _inputs: tuple[Tensor, ...], _output: Tensor) -> None:
            self._synchronise()
            self._seconds[stage] += perf_counter() - self._begun

        return end

    def _synchronise(self) -> None:
        if self._device != "cpu":
            torch.cuda.synchronize()


def make_subject(name: str, device: str = "cpu", dtype: str = "float32") -> Subject:
    """Return what is called ``name``: a step of the published network, a network of the zoo, or one of ours.

    Raises:
        CheckpointError: there is nothing of that name.
    """
    return Baseline(name, device, dtype) if name in BASELINES else Ours(name, device, dtype)
