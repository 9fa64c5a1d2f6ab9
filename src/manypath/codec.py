"""The codec's front door: pictures to bitstreams, bitstreams to pictures by path.

Pictures of more than 4 Mpx are cut into strips (``geometry.strip_heights``). Strips are entropy-coded on their own;
the transforms see a margin around each that is as wide as they can reach, so no seam shows where a strip was cut and
memory is bounded by a strip, not by the picture.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import PurePath
from time import perf_counter
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from manypath import bitstream as container
from manypath import budget, checkpoint
from manypath.bitstream import Bitstream, StreamInfo, chunks_present, inspect
from manypath.coding import Clock, SymbolCoder
from manypath.entropy.coder import Checksum, RowNumbers, Symbols
from manypath.entropy.schedule import Step
from manypath.entropy.tables import code_lengths
from manypath.errors import BudgetError, DesyncError, FormatError, ModelMismatchError, RequestError
from manypath.geometry import LATENT_PIXELS, MAX_PIXELS, ceil_div, padded, strip_rows
from manypath.image import Image, check_image, pad_to, to_image, to_tensor
from manypath.inspection import ScoreMap, ScoreMaps
from manypath.multipath.routing import Routing, Trace
from manypath.paths import DecodePath, check_path, check_task_share
from manypath.quality import DEFAULT_QUALITY, quality_to_code
from manypath.testing import random_by_name

__all__ = ["Codec", "Reconstruction", "StageTimings", "StreamInfo", "inspect"]

KEPT_STRIPS = 8  # whose latents a search for a budget keeps, 13 MB each for 192 channels
_DISAGREED = "encoder and decoder computed different entropy parameters, or the stream was forged"
STAGES = ("analysis", "entropy_parameters", "coding", "synthesis")
DTYPES: Mapping[str, torch.dtype] = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class StageTimings:
    """Adds up where time goes.

    Attributes:
        seconds: per stage: ``analysis``, ``entropy_parameters``, ``coding``, ``synthesis``.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def add(self, stage: str, seconds: float) -> None:
        """Add seconds to a stage."""
        self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds


class Reconstruction(NamedTuple):
    """What one path makes of a bitstream.

    Attributes:
        image: uint8 [H, W, 3].
        scores: importance of each group's predictor, float32 [ceil(H/8), ceil(W/8)] in 0..1, in the order of use:
            high wants the main path. Empty on the main path, or where they were not asked for.
    """

    image: Image
    scores: tuple[ScoreMap, ...] = ()


class Codec:
    """A loaded model that encodes and decodes. Safe to use from one thread at a time.

    Args:
        released: from ``checkpoint.load``.
        name: for people and metrics.
        device: a torch device.
        dtype: of the transforms, ``float32`` or ``bfloat16``; the entropy path is exact in either.
        max_pixels: bitstreams of larger pictures are refused before anything is allocated for them.
    """

    def __init__(
        self,
        released: checkpoint.Released,
        name: str,
        *,
        device: str = "cpu",
        dtype: str = "float32",
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        if dtype not in DTYPES:
            raise RequestError(f"dtype must be one of {', '.join(DTYPES)}, got {dtype!r}")
        self.name = name
        self.device = device
        self.max_pixels = max_pixels
        self.model_digest = released.digest[: 2 * checkpoint.DIGEST_BYTES]
        self._digest = bytes.fromhex(self.model_digest)
        self._device = torch.device(device)
        self._dtype = DTYPES[dtype]
        self._model = released.model.to(self._device)
        self._model.set_transform_dtype(self._dtype)
        self.config = self._model.config
        sides = (name for name, _ in self.config.sides)
        self.trained_paths: frozenset[str] = frozenset({DecodePath.PERCEPTUAL.value, *sides})
        self._latent_tables = released.latent_tables
        self._coder = SymbolCoder(self._model, released.latent_tables, released.hyper_tables)
        self._analysis_reach, self._synthesis_reach = self._model.reaches

    @classmethod
    def load(cls, model: str | os.PathLike[str] = "edge", *, device: str = "cpu", dtype: str = "float32") -> Codec:
        """Load a shipped model by name or a ``.safetensors`` file.

        For tests also ``<preset>-random``, untrained, and ``<preset>-random-sides``, with the three well-known sides.

        Raises:
            CheckpointError: there is none, or it is damaged.
        """
        text = os.fspath(model)
        released = random_by_name(text)
        if released is not None:
            return cls(released, text, device=device, dtype=dtype)
        name = PurePath(text).name.removesuffix(".safetensors")
        return cls(checkpoint.load(model), name, device=device, dtype=dtype)

    def serves(self, path: str) -> bool:
        """Whether the model has trained weights for ``path``; without, a well-known path takes the main path."""
        return path in self.trained_paths

    # -- encoding ---------------------------------------------------------------------------------------------

    def encode(
        self,
        image: Image,
        *,
        quality: float | None = None,
        max_bytes: int | None = None,
        target_bpp: float | None = None,
        timings: StageTimings | None = None,
    ) -> bytes:
        """Encode one picture.

        Args:
            image: uint8 [H, W, 3], or [H, W] for grey; sides of 1..16384 pixels.
            quality: 1.0..8.0 in steps of 1/32, 8 = highest rate; 4 unless a budget is given.
            max_bytes: the stream has at most this many bytes, and at least 95 % of them where the range allows.
            target_bpp: the same in bits per pixel.
            timings: added to, if given.

        Raises:
            RequestError: the picture, the quality or the budget cannot be.
        """
        return self.encode_batch([image], quality=quality, max_bytes=max_bytes, target_bpp=target_bpp, timings=timings)[
            0
        ]

    @torch.inference_mode()
    def encode_batch(
        self,
        images: Sequence[Image],
        *,
        quality: float | None = None,
        max_bytes: int | None = None,
        target_bpp: float | None = None,
        timings: StageTimings | None = None,
    ) -> list[bytes]:
        """Encode several pictures; those of one size share the networks' passes. See ``encode``."""
        if sum(value is not None for value in (quality, max_bytes, target_bpp)) > 1:
            raise RequestError("give one of quality, max_bytes and target_bpp, not several")
        checked = [check_image(image) for image in images]
        spent = timings or StageTimings()
        if max_bytes is not None or target_bpp is not None:
            return [self._encode_to_budget(image, _bytes(image, max_bytes, target_bpp), spent) for image in checked]
        code = quality_to_code(DEFAULT_QUALITY if quality is None else quality)
        streams: dict[int, bytes] = {}
        for group in _by_size(checked).values():
            encoded = self._encode_group([checked[i] for i in group], code, spent)
            streams.update(zip(group, encoded, strict=True))
        return [streams[number] for number in range(len(checked))]

    def _encode_to_budget(self, image: Image, most: int, timings: StageTimings) -> bytes:
        analysed: list[int] = []
        kept: dict[int, Tensor] = {}

        def encode(code: int) -> bytes:
            if not analysed or not budget.serves(analysed[-1], code):
                analysed.append(code)
                kept.clear()
            return self._encode_group([image], code, timings, kept, analysed[-1])[0]

        return budget.fit(encode, most, budget.first_code(image, most))

    def _encode_group(
        self,
        images: Sequence[Image],
        code: int,
        timings: StageTimings,
        kept: dict[int, Tensor] | None = None,
        analysed: int | None = None,
    ) -> list[bytes]:
        """Encode pictures of one size.

        Args:
            images: of one size.
            code: quality code.
            timings: added to.
            kept: latents by a strip's first row: taken if there, else put there, the first strips' alone.
            analysed: quality code of these latents, if it is another.
        """
        height, width = images[0].shape[:2]
        codes = torch.full((1,), code, device=self._device)
        own_codes = codes if analysed is None else torch.full((1,), analysed, device=self._device)
        checksums = [Checksum() for _ in images]
        strips: list[list[tuple[bytes, ...]]] = [[] for _ in images]
        for top, bottom in strip_rows(width, height):
            y = None if kept is None else kept.get(top)
            if y is None:
                with _measured(timings, "analysis"):
                    y = self._analyse(images, top, bottom, own_codes)
                if kept is not None and len(kept) < KEPT_STRIPS:
                    kept[top] = y
            clock = Clock()
            with _measured(timings, "entropy_parameters", clock):
                seen = (ceil_div(min(bottom, height) - top, LATENT_PIXELS), ceil_div(width, LATENT_PIXELS))
                chunks = self._coder.encode(y, codes, checksums, clock, seen)
            for own, new in zip(strips, chunks, strict=True):
                own.append(new)
        return [
            container.pack(Bitstream(width, height, code, self._digest, checksum.value, tuple(own)))
            for own, checksum in zip(strips, checksums, strict=True)
        ]

    def _analyse(
        self, images: Sequence[Image], top: int, bottom: int, code: Tensor, trace: Trace | None = None
    ) -> Tensor:
        """Return y, float32 [B, h, w, M], of the padded rows top..bottom."""
        height, width = images[0].shape[:2]
        start = max(0, top - self._analysis_reach)
        end = min(padded(height), bottom + self._analysis_reach)
        rows = [to_tensor(pad_to(image[start : min(end, height)], end - start, padded(width))) for image in images]
        x = rows[0] if len(rows) == 1 else torch.cat(rows)
        routing = self._model.analysis_routing(code, exact=True)
        y: Tensor = self._model.g_a(x.to(self._device), code, routing, trace).float()
        return y[:, (top - start) // LATENT_PIXELS : (bottom - start) // LATENT_PIXELS]

    # -- decoding ---------------------------------------------------------------------------------------------

    def decode(
        self,
        bitstream: bytes,
        *,
        path: str = DecodePath.PERCEPTUAL,
        task_share: float = 1.0,
        allow_truncated: bool = False,
        timings: StageTimings | None = None,
    ) -> Image:
        """Decode one bitstream by one path.

        Args:
            bitstream: from ``encode``.
            path: what the picture is for: a ``DecodePath``, which without trained weights takes the main path, or a
                side of the model's own.
            task_share: of tokens on the side path: 0.0 is the main path, 1.0 the task's alone.
            allow_truncated: decode what is left of a cut stream; what is missing takes its expected value, and
                no checksum can tell whether the rest is sound.
            timings: added to, if given.

        Returns:
            uint8 [H, W, 3].

        Raises:
            BitstreamError: the bytes are not a stream of this model.
            PathError: the path or share cannot be.
        """
        return self.decode_paths(bitstream, [(path, task_share)], allow_truncated=allow_truncated, timings=timings)[0]

    def decode_batch(
        self,
        bitstreams: Sequence[bytes],
        *,
        path: str = DecodePath.PERCEPTUAL,
        task_share: float = 1.0,
        timings: StageTimings | None = None,
    ) -> list[Image]:
        """Decode several bitstreams by one path; those of one size and quality share the networks' passes."""
        wanted = [self._route(path, task_share)]
        streams = [self._parse(data, allow_truncated=False) for data in bitstreams]
        groups: dict[tuple[int, int, int], list[int]] = {}
        for number, stream in enumerate(streams):
            groups.setdefault((stream.width, stream.height, stream.quality_code), []).append(number)
        images: dict[int, Image] = {}
        for group in groups.values():
            decoded = self._decode_group([streams[i] for i in group], wanted, timings or StageTimings())
            for number, own in zip(group, decoded, strict=True):
                images[number] = own[0].image
        return [images[number] for number in range(len(streams))]

    def decode_paths(
        self,
        bitstream: bytes,
        requests: Sequence[tuple[str, float]],
        *,
        allow_truncated: bool = False,
        timings: StageTimings | None = None,
    ) -> list[Image]:
        """Decode one bitstream by several (path, task_share); what they have in common runs once."""
        made = self.reconstruct(bitstream, requests, allow_truncated=allow_truncated, timings=timings)
        return [own.image for own in made]

    def reconstruct(
        self,
        bitstream: bytes,
        requests: Sequence[tuple[str, float]],
        *,
        scores: bool = False,
        allow_truncated: bool = False,
        timings: StageTimings | None = None,
    ) -> list[Reconstruction]:
        """Decode as ``decode_paths`` does, with the predictors' score maps if ``scores``."""
        wanted = [self._route(path, share) for path, share in requests]
        stream = self._parse(bitstream, allow_truncated=allow_truncated)
        return self._decode_group([stream], wanted, timings or StageTimings(), scores=scores)[0]

    # -- looking inside ---------------------------------------------------------------------------------------

    @torch.inference_mode()
    def encode_scores(self, image: Image, quality: float = DEFAULT_QUALITY) -> tuple[ScoreMap, ...]:
        """Return the analysis' score maps, one a group, as in ``Reconstruction``: high wants the high-quality path."""
        image = check_image(image)
        codes = torch.full((1,), quality_to_code(quality), device=self._device)
        height, width = image.shape[:2]
        maps = ScoreMaps(height, width)
        for top, bottom in strip_rows(width, height):
            trace = Trace([], [])
            self._analyse([image], top, bottom, codes, trace)
            maps.add(trace, top, bottom, max(0, top - self._analysis_reach))
        return maps.done()

    @torch.inference_mode()
    def bit_map(self, bitstream: bytes) -> ScoreMap:
        """Return where the bits went: float32 [ceil(H/16), ceil(W/16)], ideal code lengths in bits.

        The hyper-latent's bits are spread evenly over the 4x4 positions that each of its positions serves, by strip.

        Raises:
            BitstreamError: the bytes are not a stream of this model.
        """
        stream = self._parse(bitstream, allow_truncated=False)
        code = torch.full((1,), stream.quality_code, device=self._device)
        parts = []
        skips = self._model.SKIPS
        for chunks, (top, bottom) in zip(stream.strips, strip_rows(stream.width, stream.height), strict=True):
            grid = ((bottom - top) // LATENT_PIXELS, padded(stream.width) // LATENT_PIXELS)
            bits = np.full(grid[0] * grid[1], 8.0 * len(chunks[0]) / (grid[0] * grid[1]), dtype=np.float32)

            def count(_step: Step, where: Tensor, symbols: Symbols, indexes: RowNumbers, bits: ScoreMap = bits) -> None:
                bits[where.cpu().numpy()] += code_lengths(self._latent_tables, symbols, indexes, skip=skips)[0].sum(-1)

            self._coder.decode([chunks], code, grid, checksums=[Checksum()], clock=Clock(), listen=count)
            parts.append(bits.reshape(grid))
        rows, columns = (ceil_div(side, LATENT_PIXELS) for side in (stream.height, stream.width))
        whole: ScoreMap = np.concatenate(parts)
        return whole[:rows, :columns]

    def _parse(self, data: bytes, *, allow_truncated: bool) -> Bitstream:
        stream = container.parse(data, max_pixels=self.max_pixels, allow_truncated=allow_truncated)
        if stream.model_digest != self._digest:
            raise ModelMismatchError(
                f"the stream was written by model {stream.model_digest.hex()}, loaded is {self.model_digest} "
                f"({self.name}); load the model it was written with"
            )
        if len(stream.strips[0]) != self._coder.chunks:
            raise ModelMismatchError(
                f"the stream has {len(stream.strips[0])} chunks a strip, model {self.name} writes {self._coder.chunks}"
            )
        return stream

    def _route(self, path: str, task_share: float) -> Routing | None:
        share = check_task_share(task_share)
        name = check_path(path, self.trained_paths)
        if name == DecodePath.PERCEPTUAL.value or share == 0.0:
            return None
        return Routing(name, torch.tensor([1.0 - share], dtype=torch.float64), exact=True)

    @torch.inference_mode()
    def _decode_group(
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
        code = torch.full((1,), first.quality_code, device=self._device)
        rows = list(strip_rows(first.width, first.height))
        latents: dict[int, Tensor] = {}
        source = self._latents(streams, code, timings)
        for strip, (top, bottom) in enumerate(rows):
            start = max(0, top - self._synthesis_reach)
            end = min(rows[-1][1], bottom + self._synthesis_reach)
            near = [i for i, (above, below) in enumerate(rows) if above < end and below > start]
            while len(latents) <= near[-1]:
                latents[len(latents)] = next(source)
            if not images:  # not before the first strip has shown that there is something to decode
                images = [[np.empty(size, dtype=np.uint8) for _ in wanted] for _ in streams]
            with _measured(timings, "synthesis"):
                y_hat = torch.cat([latents[i] for i in near], 1)
                origin = rows[near[0]][0]
                y_hat = y_hat[:, (start - origin) // LATENT_PIXELS : (end - origin) // LATENT_PIXELS]
                shared = self._model.shared_tokens(y_hat, code)
                stop = min(bottom, first.height)
                for number, routing in enumerate(wanted):
                    trace = Trace([], []) if scores else None
                    x_hat = self._model.g_s(shared, code, routing, trace)
                    if trace is not None:
                        maps[number].add(trace, top, bottom, start)
                    for own, picture in zip(images, x_hat, strict=True):
                        own[number][top:stop] = to_image(picture[top - start : stop - start, : first.width])
            for i in range(strip):
                latents[i] = latents[i][:0]  # no later strip reaches back further than one
        for _ in source:  # runs the checks after the last strip
            pass
        done = [own.done() for own in maps]
        return [[Reconstruction(*made) for made in zip(own, done, strict=True)] for own in images]

    def _latents(self, streams: Sequence[Bitstream], code: Tensor, timings: StageTimings) -> Iterator[Tensor]:
        """Yield y_hat of each strip, then check the symbols."""
        first = streams[0]
        checksums = [Checksum() for _ in streams]
        present = [chunks_present(stream, self._coder.chunks) for stream in streams]
        for strip, (top, bottom) in enumerate(strip_rows(first.width, first.height)):
            grid = ((bottom - top) // LATENT_PIXELS, padded(first.width) // LATENT_PIXELS)
            clock = Clock()
            with _measured(timings, "entropy_parameters", clock):
                chunks = [stream.strips[strip] for stream in streams]
                codes = code.expand(len(streams))
                try:
                    y_hat = self._coder.decode(
                        chunks, codes, grid, checksums=checksums, clock=clock, present=present[0][strip]
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


@contextmanager
def _measured(timings: StageTimings, stage: str, clock: Clock | None = None) -> Iterator[None]:
    """Add the block's seconds to a stage, those of ``clock`` to coding instead."""
    begun = perf_counter()
    yield
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.synchronize()  # kernels run on after their call returned
    coding = clock.seconds if clock else 0.0
    timings.add(stage, perf_counter() - begun - coding)
    if clock:
        timings.add("coding", coding)


def _by_size(images: Sequence[Image]) -> dict[tuple[int, ...], list[int]]:
    groups: dict[tuple[int, ...], list[int]] = {}
    for number, image in enumerate(images):
        groups.setdefault(image.shape, []).append(number)
    return groups


def _bytes(image: Image, max_bytes: int | None, target_bpp: float | None) -> int:
    """Return the budget in bytes.

    Raises:
        BudgetError: not a positive number.
    """
    asked = max_bytes if max_bytes is not None else target_bpp
    if asked is None or not asked > 0 or asked == float("inf"):
        raise BudgetError(f"a budget must be a positive number, got {asked!r}")
    most = int(max_bytes if max_bytes is not None else asked * image.shape[0] * image.shape[1] / 8)
    if most < container.HEADER_BYTES:
        raise BudgetError(f"the budget of {most} bytes is too small: the header alone has {container.HEADER_BYTES}")
    return most
