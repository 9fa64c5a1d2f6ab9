"""Bitstreams to pictures: strip by strip through the coder and the synthesis, by one path or by several."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from torch import Tensor

from manypath import bitstream as container
from manypath import inspection
from manypath.bitstream import Bitstream, chunks_present
from manypath.coding import SymbolCoder
from manypath.entropy.coder import Checksum
from manypath.errors import DesyncError, FormatError, ModelMismatchError
from manypath.geometry import LATENT_PIXELS, padded, strip_rows
from manypath.image import Image
from manypath.inspection import ScoreMap, ScoreMaps
from manypath.multipath.routing import Routing, Trace
from manypath.network import Network
from manypath.strips import Strip, strips_of, with_margins
from manypath.timings import StageTimings
from manypath.transfers import to_host

_DISAGREED = "encoder and decoder computed different entropy parameters, or the stream was forged"


class Reconstruction(NamedTuple):
    """What one path makes of a bitstream.

    Attributes:
        image: uint8 [H, W, 3].
        scores: importance of each group's predictor, float32 [ceil(H/8), ceil(W/8)] in 0..1, in the order of use:
            high wants the main path. Empty on the main path, or where they were not asked for.
    """

    image: Image
    scores: tuple[ScoreMap, ...] = ()


class StreamDecoder:
    """Decodes the streams of one model.

    Args:
        model: frozen.
        coder: of the model.
        digest: 4 bytes that name the model in its streams.
        name: of the model, for messages.
        max_pixels: larger pictures are refused before anything is allocated for them.
    """

    def __init__(self, model: Network, coder: SymbolCoder, digest: bytes, name: str, max_pixels: int) -> None:
        self._model = model
        self._coder = coder
        self._digest = digest
        self._name = name
        self._max_pixels = max_pixels
        self._reach = model.reaches[1]

    def parse(self, data: bytes, *, allow_truncated: bool = False) -> Bitstream:
        """Return what a stream of this model carries.

        Raises:
            BitstreamError: it is none; see ``bitstream.parse``.
        """
        stream = container.parse(data, max_pixels=self._max_pixels, allow_truncated=allow_truncated)
        if stream.model_digest != self._digest:
            raise ModelMismatchError(
                f"the stream was written by model {stream.model_digest.hex()}, loaded is {self._digest.hex()} "
                f"({self._name}); load the model it was written with"
            )
        if len(stream.strips[0]) != self._coder.chunks:
            raise ModelMismatchError(
                f"the stream has {len(stream.strips[0])} chunks a strip, model {self._name} writes {self._coder.chunks}"
            )
        return stream

    def decode(
        self,
        streams: Sequence[Bitstream],
        wanted: Sequence[Routing | None],
        timings: StageTimings,
        *,
        scores: bool = False,
    ) -> list[list[Reconstruction]]:
        """Decode streams of one size and quality: [stream][request]."""
        first = streams[0]
        size = (first.height, first.width, 3)
        images: list[list[Image]] = []
        maps = [ScoreMaps(first.height, first.width) for _ in wanted]  # of the first stream: scores are asked for one
        code = self._model.codes(first.quality_code)
        strips = strips_of(first.width, first.height, self._reach)
        for strip, y_hat in with_margins(strips, self.latents(streams, code, timings)):
            if not images:  # not before the first strip has shown that there is something to decode
                images = [[np.empty(size, dtype=np.uint8) for _ in wanted] for _ in streams]
            with timings.measure("synthesis"):
                shared = self._model.shared_tokens(y_hat, code)
                stop = min(strip.bottom, first.height)
                for number, routing in enumerate(wanted):
                    trace = Trace([], []) if scores else None
                    painted = self._model.g_s.to_pixels(shared, code, self._with_noise(routing, streams, strip), trace)
                    if trace is not None:
                        maps[number].add(trace, strip)
                    rows = slice(strip.top - strip.start, stop - strip.start)
                    for own, pixels in zip(images, painted, strict=True):
                        own[number][strip.top : stop] = to_host(pixels[rows, : first.width])
        done = [own.done() for own in maps]
        return [[Reconstruction(*made) for made in zip(own, done, strict=True)] for own in images]

    def _with_noise(self, routing: Routing | None, streams: Sequence[Bitstream], strip: Strip) -> Routing | None:
        """Return a routing with the noise that its side sees; the seed is the stream's own checksum of its symbols."""
        if routing is None:
            return None
        seeds = [stream.symbols_checksum for stream in streams]
        return self._model.with_noise(routing, seeds, strip.start, strip.end - strip.start, padded(streams[0].width))

    def latents(self, streams: Sequence[Bitstream], code: Tensor, timings: StageTimings) -> Iterator[Tensor]:
        """Yield y_hat of each strip, then check the symbols."""
        first = streams[0]
        checksums = [Checksum() for _ in streams]
        codes = code.expand(len(streams))
        present = chunks_present(first, self._coder.chunks)  # a cut stream is decoded alone
        for number, (top, bottom) in enumerate(strip_rows(first.width, first.height)):
            grid = ((bottom - top) // LATENT_PIXELS, padded(first.width) // LATENT_PIXELS)
            with timings.measure("entropy_parameters"):
                chunks = [stream.strips[number] for stream in streams]
                try:
                    y_hat = self._coder.decode(
                        chunks, codes, grid, checksums=checksums, timings=timings, present=present[number]
                    )
                except FormatError as err:
                    if self._model.exact or first.missing:
                        raise
                    # The bytes are those that were written: with floats, the likely cause is the other machine.
                    raise DesyncError(f"{err}: {_DISAGREED}") from err
            yield y_hat
        for stream, checksum in zip(streams, checksums, strict=True):
            if not stream.missing and checksum.value != stream.symbols_checksum:
                raise DesyncError(
                    f"the symbols' checksum is {checksum.value:08x}, the stream says {stream.symbols_checksum:08x}: "
                    f"{_DISAGREED}"
                )

    def bit_map(self, stream: Bitstream) -> ScoreMap:
        """Return where a whole stream's bits went; see ``inspection.bit_map``."""
        code = self._model.codes(stream.quality_code)
        return inspection.bit_map(stream, self._coder, code, skips=self._model.SKIPS)
