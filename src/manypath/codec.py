"""The codec's front door: pictures to bitstreams, bitstreams to pictures by path."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from pathlib import PurePath
from typing import Concatenate, ParamSpec, TypeVar

import torch

from manypath import checkpoint
from manypath.bitstream import StreamInfo, inspect
from manypath.coding import SymbolCoder
from manypath.decoding import Reconstruction, StreamDecoder
from manypath.encoding import PictureEncoder
from manypath.errors import PathError, RequestError
from manypath.geometry import MAX_PIXELS
from manypath.image import Image, check_image
from manypath.inspection import ScoreMap
from manypath.multipath.routing import Routing
from manypath.paths import FOR_PEOPLE, DecodePath, check_path, check_task_share, main_path
from manypath.precision import AUTO, transform_dtype
from manypath.quality import DEFAULT_QUALITY, quality_to_code
from manypath.rate import Rate
from manypath.testing import random_by_name
from manypath.timings import STAGES, StageTimings
from manypath.transfers import OwnStream

__all__ = ["STAGES", "Codec", "Rate", "Reconstruction", "StageTimings", "StreamInfo", "inspect"]


Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

# OpenMP's threads do not live on in a forked process, and who waits for them waits forever.
os.register_at_fork(after_in_child=functools.partial(torch.set_num_threads, 1))


def _in_own_numbers(
    method: Callable[Concatenate[Codec, Arguments], Result],
) -> Callable[Concatenate[Codec, Arguments], Result]:
    """Let a method compute without gradients, and in the codec's own types whatever its caller's autocast says."""

    @functools.wraps(method)
    def run(codec: Codec, /, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        with torch.inference_mode(), torch.autocast(codec.device_type, enabled=False), codec._stream.current():
            return method(codec, *args, **kwargs)

    return run


class Codec:
    """A loaded model that encodes and decodes. Safe to use from one thread at a time.

    A process that was forked after this module was imported computes on one thread; processes that are started by
    spawn or forkserver have all of theirs.

    Args:
        released: from ``checkpoint.load``.
        name: for people and metrics.
        device: a torch device.
        dtype: of the transforms: ``float32``, ``bfloat16``, or ``auto`` for the latter where the device multiplies it
            and the model loses next to nothing; the entropy path is exact in either.
        max_pixels: bitstreams of larger pictures are refused before anything is allocated for them.

    Attributes:
        sides: names of the side paths that the model has weights for.
        main_path: the main path's name; see ``paths.main_path``.
        trained_paths: these together: every path that makes a picture of its own.

    Raises:
        RequestError: no such device or type.
    """

    def __init__(
        self,
        released: checkpoint.Released,
        name: str,
        *,
        device: str = "cpu",
        dtype: str = AUTO,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        try:
            self._device = torch.device(device)
            self._model = released.model.to(self._device)
        except (RuntimeError, TypeError, AssertionError) as err:  # torch's ways to say that there is none
            raise RequestError(f"cannot use the device {device!r}: {str(err).splitlines()[0]}") from err
        self.name = name
        self.device = device
        self.device_type = self._device.type
        self._stream = OwnStream(self._device)
        self.model_digest = released.digest[: 2 * checkpoint.DIGEST_BYTES]
        self._model.set_transform_dtype(transform_dtype(dtype, self._device, rounds_well=self._model.ROUNDS_WELL))
        self.config = self._model.config
        self.most_effort = self._model.MOST_EFFORT
        self.sides: frozenset[str] = frozenset(dict(self.config.sides))
        self.main_path = main_path(self.sides)
        self.trained_paths = self.sides | {self.main_path}
        self._coder = SymbolCoder(self._model, released.latent_tables, released.hyper_tables)
        self._encoder = PictureEncoder(self._model, self._coder, bytes.fromhex(self.model_digest))
        self._decoder = StreamDecoder(self._model, self._coder, bytes.fromhex(self.model_digest), name, max_pixels)

    @classmethod
    def load(cls, model: str | os.PathLike[str] = "edge", *, device: str = "cpu", dtype: str = AUTO) -> Codec:
        """Load a shipped model by name or a ``.safetensors`` file.

        For tests also ``<preset>-random``, untrained, and ``<preset>-random-sides``, with the three well-known sides.

        Raises:
            CheckpointError: there is none, or it is damaged.
            RequestError: no such device or type.
        """
        if not isinstance(model, str | os.PathLike):
            raise RequestError(f"a model is a name or a file, got {model!r:.80}")
        text = os.fspath(model)
        released = random_by_name(text)
        if released is not None:
            return cls(released, text, device=device, dtype=dtype)
        name = PurePath(text).name.removesuffix(".safetensors")
        return cls(checkpoint.load(model), name, device=device, dtype=dtype)

    def serves(self, path: str) -> bool:
        """Whether the model is trained for ``path``; without, a well-known one for machines takes the main path."""
        return path in self.sides or path in FOR_PEOPLE

    def resolve(self, path: str, task_share: float = 1.0) -> tuple[str, float]:
        """Return the path that serves ``path``, and the share of tokens that takes it; 0.0 is all on the main path.

        Raises:
            PathError: the path or share cannot be.
        """
        share = check_task_share(task_share)
        used = check_path(path, self.sides)
        return used, share if used in self.sides else 0.0

    # -- encoding ---------------------------------------------------------------------------------------------

    def encode(
        self,
        image: Image,
        rate: Rate | None = None,
        *,
        quality: float | None = None,
        timings: StageTimings | None = None,
    ) -> bytes:
        """Encode one picture.

        Args:
            image: uint8 [H, W, 3], or [H, W] for grey; sides of 1..16384 pixels.
            rate: how many bits to spend; quality 4 unless given.
            quality: short for ``Rate(quality=...)``. A picture of a side below 64 pixels whose stream would take more
                bytes than its samples gets the best quality that does not; its header says which.
            timings: added to, if given.

        Raises:
            RequestError: the picture, the quality or the budget cannot be.
        """
        return self.encode_batch([image], rate, quality=quality, timings=timings)[0]

    @_in_own_numbers
    def encode_batch(
        self,
        images: Sequence[Image],
        rate: Rate | None = None,
        *,
        quality: float | None = None,
        timings: StageTimings | None = None,
    ) -> list[bytes]:
        """Encode several pictures; those of one size share the networks' passes. See ``encode``."""
        if rate is None:
            rate = Rate(quality=quality)
        elif type(rate) is not Rate or quality is not None:
            raise RequestError(f"give a Rate or a quality, got {rate!r:.80} and quality {quality!r:.80}")
        checked = [check_image(image) for image in _several(images, "images")]
        return self._encoder.encode(checked, rate, timings or StageTimings())

    # -- decoding ---------------------------------------------------------------------------------------------

    def decode(
        self,
        bitstream: bytes,
        *,
        path: str = DecodePath.DEFAULT,
        task_share: float = 1.0,
        allow_truncated: bool = False,
        timings: StageTimings | None = None,
    ) -> Image:
        """Decode one bitstream by one path.

        Args:
            bitstream: from ``encode``; any bytes-like object.
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

    @_in_own_numbers
    def decode_batch(
        self,
        bitstreams: Sequence[bytes],
        *,
        path: str = DecodePath.DEFAULT,
        task_share: float = 1.0,
        timings: StageTimings | None = None,
    ) -> list[Image]:
        """Decode several bitstreams by one path; those of one size and quality share the networks' passes."""
        wanted = [self._route(path, task_share)]
        streams = [self._decoder.parse(data) for data in _several(bitstreams, "bitstreams")]
        groups: dict[tuple[int, int, int], list[int]] = {}
        for number, stream in enumerate(streams):
            groups.setdefault((stream.width, stream.height, stream.quality_code), []).append(number)
        images: dict[int, Image] = {}
        for group in groups.values():
            decoded = self._decoder.decode([streams[i] for i in group], wanted, timings or StageTimings())
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

    @_in_own_numbers
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
        try:
            wanted = [self._route(path, share) for path, share in requests]
        except (TypeError, ValueError) as err:
            raise PathError(f"requests are pairs of a path and a task share, got {requests!r:.80}") from err
        stream = self._decoder.parse(bitstream, allow_truncated=allow_truncated)
        return self._decoder.decode([stream], wanted, timings or StageTimings(), scores=scores)[0]

    # -- looking inside ---------------------------------------------------------------------------------------

    @_in_own_numbers
    def encode_scores(self, image: Image, quality: float = DEFAULT_QUALITY) -> tuple[ScoreMap, ...]:
        """Return the analysis' score maps, one a group, as in ``Reconstruction``: high wants the high-quality path."""
        return self._encoder.scores(check_image(image), quality_to_code(quality))

    @_in_own_numbers
    def bit_map(self, bitstream: bytes) -> ScoreMap:
        """Return where the bits went: float32 [ceil(H/16), ceil(W/16)], ideal code lengths in bits.

        The hyper-latent's bits are spread evenly over the 4x4 positions that each of its positions serves, by strip.

        Raises:
            BitstreamError: the bytes are not a stream of this model.
        """
        return self._decoder.bit_map(self._decoder.parse(bitstream))

    def _route(self, path: str, task_share: float) -> Routing | None:
        name, share = self.resolve(path, task_share)
        if share == 0.0:
            return None
        return Routing(name, torch.full((1,), 1.0 - share, dtype=torch.float64, device="cpu"), exact=True)


def _several(values: Sequence[Result], name: str) -> list[Result]:
    try:
        return list(values)
    except TypeError as err:
        raise RequestError(f"{name} must be a sequence, got {type(values).__name__}") from err
