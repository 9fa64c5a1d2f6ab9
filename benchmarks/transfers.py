"""How a codec uses a GPU, by the profiler's trace: which memory its copies take, on which streams its work runs."""

from __future__ import annotations

import json
import pathlib
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import torch

from benchmarks.picture import Pixels
from manypath.codec import Codec

_DEFAULT_STREAM = 7  # as the profiler numbers it
_SMALL = 4096  # bytes; scalars and routing counts are not worth a buffer


class Usage(NamedTuple):
    """What a trace shows.

    Attributes:
        streams: numbers of the streams that kernels and copies ran on.
        pageable: copies of more than some kilobytes that did not go through pinned memory, by the profiler's names.
        pinned: how many did.
    """

    streams: frozenset[int]
    pageable: tuple[str, ...]
    pinned: int

    @property
    def as_wanted(self) -> bool:
        """Whether every large copy is pinned and everything runs on one stream that is not the default one."""
        return not self.pageable and self.pinned > 0 and len(self.streams) == 1 and 0 not in self.streams


def usage(events: Sequence[Mapping[str, Any]]) -> Usage:
    """Read the events of a trace in Chrome's format, as torch.profiler writes it.

    The profiler calls the default stream 7, which is 0 here as for CUDA, and other streams by higher numbers.
    """
    streams: set[int] = set()
    pageable: list[str] = []
    pinned = 0
    for event in events:
        if event.get("cat") not in {"kernel", "gpu_memcpy"}:
            continue
        facts = event.get("args", {})
        stream = int(facts.get("stream", 0))
        streams.add(0 if stream == _DEFAULT_STREAM else stream)
        name = str(event["name"])
        between = event["cat"] == "gpu_memcpy" and ("HtoD" in name or "DtoH" in name)
        if between and "Pageable" in name and int(facts.get("bytes", 0)) > _SMALL:
            pageable.append(name)
        elif between and "Pinned" in name:
            pinned += 1
    return Usage(frozenset(streams), tuple(pageable), pinned)


def observe(codec: Codec, image: Pixels) -> Usage:
    """Encode and decode a picture on a CUDA device, once unseen and once under the profiler."""
    codec.decode(codec.encode(image))
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        codec.decode(codec.encode(image))
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder, "trace.json")
        profile.export_chrome_trace(str(file))
        events: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))["traceEvents"]
    return usage(events)


def beside_each_other(model: str, device: str, image: Pixels) -> bool:
    """Return whether two codecs in two threads, as a service has them, write what one alone writes."""
    alone = Codec.load(model, device=device, dtype="float32").encode(image)
    codecs = [Codec.load(model, device=device, dtype="float32") for _ in range(2)]
    with ThreadPoolExecutor(2) as threads:
        streams = [stream for _ in range(5) for stream in threads.map(lambda codec: codec.encode(image), codecs)]
    return all(stream == alone for stream in streams)
