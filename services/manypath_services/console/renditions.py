"""What encoder and decoder make of a kept picture, once each: a slider's next picture is a decode alone."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from manypath_api.v1 import codec_pb2 as pb
from manypath_services.console.choices import Rate
from manypath_services.console.codec_services import CodecServices
from manypath_services.console.gallery import KeptPicture
from manypath_services.console.pictures import psnr, read_png


class Stream(NamedTuple):
    """A bitstream.

    Attributes:
        data: its bytes.
        facts: what its header says.
        device: where the encoder ran.
        seconds: of each of the encoder's stages.
    """

    data: bytes
    facts: pb.BitstreamFacts
    device: str
    seconds: Mapping[str, float]

    @property
    def size(self) -> int:
        """Bytes that are kept."""
        return len(self.data)


class Rendition(NamedTuple):
    """A picture that came back.

    Attributes:
        file: PNG.
        psnr: against the original, dB.
        route: which path was asked for and which served.
        device: where the decoder ran.
        seconds: of each of the decoder's stages.
        score_maps: PNG, 8-bit grey, one per group of the synthesis transform; none on the main path.
    """

    file: bytes
    psnr: float
    route: pb.Route
    device: str
    seconds: Mapping[str, float]
    score_maps: Sequence[bytes]

    @property
    def size(self) -> int:
        """Bytes that are kept."""
        return len(self.file) + sum(map(len, self.score_maps))


class Answers(NamedTuple):
    """What the workers say.

    Attributes:
        results: one a task.
        seconds: of each of the decoder's stages.
    """

    results: Sequence[pb.TaskResult]
    seconds: Mapping[str, float]

    @property
    def size(self) -> int:
        """Bytes that are kept."""
        return sum(result.ByteSize() for result in self.results)


class BitMap(NamedTuple):
    """Where the bits of a bitstream went.

    Attributes:
        bits: of each square of 16 x 16 pixels, float32 [ceil(H/16), ceil(W/16)].
    """

    bits: npt.NDArray[np.float32]

    @property
    def size(self) -> int:
        """Bytes that are kept."""
        return self.bits.nbytes


class Renditions:
    """Asks the services for what is not kept yet.

    Args:
        services: the encoder and the decoder.
    """

    def __init__(self, services: CodecServices) -> None:
        self._services = services

    async def stream(self, picture: KeptPicture, rate: Rate) -> Stream:
        """Return the picture's bitstream at a rate.

        Raises:
            ProblemError: the encoder cannot, or cannot be reached.
        """

        async def encode() -> Stream:
            answer = await self._services.encode(picture.file, rate.message())
            return Stream(answer.bitstream, answer.facts, answer.device, _seconds(answer.timings))

        return await picture.once(("stream", rate), encode)  # type: ignore[no-any-return]

    async def rendition(self, picture: KeptPicture, rate: Rate, path: str, share: float) -> Rendition:
        """Return the picture that a path makes of the stream.

        Raises:
            ProblemError: encoder or decoder cannot, or cannot be reached.
        """
        stream = await self.stream(picture, rate)

        async def decode() -> Rendition:
            return (await self._decode(picture, stream, [(path, share)]))[0]

        return await picture.once(_key(rate, path, share), decode)  # type: ignore[no-any-return]

    async def paths(self, picture: KeptPicture, rate: Rate, paths: Sequence[str]) -> list[Rendition]:
        """Return the pictures that several paths make of the stream; what they share is computed once.

        Raises:
            ProblemError: encoder or decoder cannot, or cannot be reached.
        """
        stream = await self.stream(picture, rate)
        missing = [path for path in paths if picture.recall(_key(rate, path, 1.0)) is None]
        made = {path: picture.recall(_key(rate, path, 1.0)) for path in paths if path not in missing}
        if missing:
            decoded = await self._decode(picture, stream, [(path, 1.0) for path in missing])
            for path, rendition in zip(missing, decoded, strict=True):
                picture.keep(_key(rate, path, 1.0), rendition)
                made[path] = rendition
        return [made[path] for path in paths]

    async def bits(self, picture: KeptPicture, rate: Rate) -> BitMap:
        """Return where the bits of the stream went.

        Raises:
            ProblemError: encoder or decoder cannot, or cannot be reached.
        """
        stream = await self.stream(picture, rate)

        async def ask() -> BitMap:
            found = await self._services.bit_map(stream.data)
            return BitMap(np.array(found.bits, np.float32).reshape(found.height, found.width))

        return await picture.once(("bits", rate), ask)  # type: ignore[no-any-return]

    async def _decode(
        self, picture: KeptPicture, stream: Stream, wanted: Sequence[tuple[str, float]]
    ) -> list[Rendition]:
        requests = [pb.PathRequest(path_name=path, task_share=share, score_maps=True) for path, share in wanted]
        answer = await self._services.decode(stream.data, requests)
        files = [decoded.picture.file for decoded in answer.pictures]
        ratios = await asyncio.to_thread(lambda: [psnr(picture.pixels, read_png(file)) for file in files])
        seconds = _seconds(answer.timings)
        return [
            Rendition(file, ratio, decoded.route, answer.device, seconds, tuple(decoded.score_maps))
            for file, ratio, decoded in zip(files, ratios, answer.pictures, strict=True)
        ]

    async def answers(self, picture: KeptPicture, rate: Rate, tasks: Sequence[str], share: float) -> Answers:
        """Return what the worker of each task says, each of its own path's picture.

        Raises:
            ProblemError: encoder, decoder or a worker cannot, or cannot be reached.
        """
        stream = await self.stream(picture, rate)

        async def ask() -> Answers:
            requests = [pb.TaskRequest(task_name=task, task_share=share) for task in tasks]
            answer = await self._services.analyze(stream.data, requests)
            return Answers(tuple(answer.results), _seconds(answer.timings))

        return await picture.once(("answers", rate, tuple(tasks), share), ask)  # type: ignore[no-any-return]


def _key(rate: Rate, path: str, share: float) -> tuple[object, ...]:
    return ("rendition", rate, path, share)


def _seconds(timings: Sequence[pb.StageTiming]) -> dict[str, float]:
    return {timing.stage: timing.seconds for timing in timings}
