"""DecoderService: picks the path, calls the codec, asks the workers, converts back."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import aclosing, contextmanager
from typing import Any

import grpc
import numpy as np
import numpy.typing as npt

from manypath import BitstreamError, Codec, LimitError, RequestError, StreamInfo
from manypath_api.v1 import codec_pb2 as pb
from manypath_api.v1 import codec_pb2_grpc as pb_grpc
from manypath_services.codec.messages import (
    Route,
    check_picture_format,
    check_reply_size,
    facts_message,
    path_names,
    picture_route,
    task_route,
    timing_messages,
)
from manypath_services.codec.metrics import CodecMetrics
from manypath_services.codec.serving import CodecServicer
from manypath_services.codec.statuses import CODEC_CODES
from manypath_services.common import logs
from manypath_services.decoder.settings import DecoderSettings
from manypath_services.decoder.stream import AnalyzedFrames
from manypath_services.decoder.work import Decoded, Order, Wanted, batch_key, decode_together, read_facts
from manypath_services.decoder.workers import Answer, Workers
from manypath_services.streams.receiver import Receiver
from manypath_services.streams.taker import Window

Image = npt.NDArray[np.uint8]
_Context = grpc.aio.ServicerContext[Any, Any]
_ENVELOPE_BYTES = 2**16  # of a message, beside its pictures


class DecoderServicer(CodecServicer[DecoderSettings], pb_grpc.DecoderServiceServicer):
    """Decodes bitstreams; see ``CodecServicer``."""

    def __init__(self, settings: DecoderSettings, metrics: CodecMetrics) -> None:
        super().__init__(settings, metrics)
        self._workers = Workers(settings, metrics)
        self.frames = AnalyzedFrames(settings, self.Analyze)
        self._receiver: Receiver[pb.AnalyzeStreamResponse] = Receiver(
            self.frames, pb.AnalyzeStreamResponse, Window(), CODEC_CODES, metrics
        )

    async def close(self) -> None:
        """Finish what was accepted and hang up; call it after the server has stopped."""
        await super().close()
        await self.frames.close()
        await self._workers.close()

    async def Decode(self, request: pb.DecodeRequest, context: _Context) -> pb.DecodeResponse:
        """Decode one bitstream along one or more paths."""
        codec = self.loaded()
        self._check_count(request)
        asked = list(request.pictures) or [pb.PathRequest()]
        wanted = _wanted(codec, asked, [], request.picture_format)
        decoded = await self._decode(codec, request.bitstream, wanted, context)
        return pb.DecodeResponse(
            pictures=decoded.pictures,
            facts=facts_message(decoded.info),
            device=codec.device,
            timings=timing_messages(decoded.seconds),
        )

    async def Analyze(self, request: pb.AnalyzeRequest, context: _Context) -> pb.AnalyzeResponse:
        """Decode one bitstream, each task along its path, and ask each task's worker."""
        codec = self.loaded()
        if not request.tasks and not request.pictures:
            raise RequestError("tasks and pictures are both empty; ask for one at least")
        self._check_count(request)
        tasks = [task_route(codec, self._workers.task_of(task), task) for task in request.tasks]
        wanted = _wanted(codec, request.pictures, tasks, request.picture_format)
        decoded = await self._decode(codec, request.bitstream, wanted, context)
        answers = await self._ask(request, decoded.task_images, context)
        for answer, route in zip(answers, wanted.tasks, strict=True):
            answer.result.route.CopyFrom(route.message())
            self.metrics.observe_stages({"worker": answer.seconds}, path=route.used, device=codec.device)
        if answers:  # they were asked at the same time
            decoded.seconds["worker"] = max(answer.seconds for answer in answers)
        response = pb.AnalyzeResponse(
            results=[answer.result for answer in answers],
            pictures=decoded.pictures,
            facts=facts_message(decoded.info),
            device=codec.device,
            timings=timing_messages(decoded.seconds),
        )
        check_reply_size(response.ByteSize(), self.settings.max_message_bytes)  # masks came on top
        return response

    async def AnalyzeStream(
        self, request_iterator: AsyncIterator[pb.AnalyzeStreamRequest], context: _Context
    ) -> AsyncGenerator[pb.AnalyzeStreamResponse, None]:
        """Decode and analyse the frames of a session, each once."""
        self.loaded()
        async with aclosing(self._receiver.serve(request_iterator)) as responses:
            async for response in responses:
                yield response

    async def WatchResults(
        self, request: pb.WatchResultsRequest, context: _Context
    ) -> AsyncGenerator[pb.WatchResultsResponse, None]:
        """Tell the newest result of each camera, and each newer one."""
        async with aclosing(self.frames.latest.watch(request)) as responses:
            async for response in responses:
                yield response

    async def Inspect(self, request: pb.InspectRequest, context: _Context) -> pb.InspectResponse:
        """Read a bitstream's header, and where its bits went if that is asked for."""
        codec = self.loaded()
        info = await self._inspect(request.bitstream)
        response = pb.InspectResponse(
            facts=facts_message(info),
            slices_present=info.slices_present,
            slices=info.slices,
            decodable=info.model_digest == codec.model_digest,
        )
        if request.bit_map:
            self._check_pixels(info)
            with self._counting_rejections():
                computed = await self.compute.run(
                    lambda: codec.bit_map(request.bitstream), timeout_seconds=context.time_remaining()
                )
            height, width = computed.value.shape
            response.bit_map.CopyFrom(pb.BitMap(width=width, height=height, bits=computed.value.ravel().tolist()))
        return response

    async def GetCapabilities(
        self, request: pb.DecoderServiceGetCapabilitiesRequest, context: _Context
    ) -> pb.DecoderServiceGetCapabilitiesResponse:
        """Tell which model is loaded, which paths it has and which tasks have a worker."""
        codec = self.loaded()
        return pb.DecoderServiceGetCapabilitiesResponse(
            model=codec.name,
            model_digest=codec.model_digest,
            device=codec.device,
            path_names=path_names(codec.trained_paths),
            task_names=self._workers.tasks,
            max_pixels=self.settings.max_pixels,
            max_message_bytes=self.settings.max_message_bytes,
            max_paths=self.settings.max_paths,
            main_path=codec.main_path,
        )

    async def _decode(self, codec: Codec, bitstream: bytes, wanted: Wanted, context: _Context) -> Decoded:
        info = await self._check(bitstream, wanted)
        with self._counting_rejections():
            computed = await self.compute.run_batched(
                self._work,
                Order(bitstream, info, wanted),
                key=batch_key(info, wanted),
                timeout_seconds=context.time_remaining(),
                pixels=info.width * info.height * len(wanted.different),
            )
        decoded = computed.value
        decoded.seconds["queue"] = computed.wait_seconds
        logs.note(width=info.width, height=info.height, bytes=info.bytes, quality=info.quality)
        logs.note(queue_seconds=round(computed.wait_seconds, 6), paths=[path for path, _ in wanted.different])
        self._count(codec, wanted, decoded)
        check_reply_size(
            sum(picture.ByteSize() for picture in decoded.pictures),
            self.settings.max_message_bytes - _ENVELOPE_BYTES,
        )
        return decoded

    def _work(self, orders: Sequence[Order]) -> list[Decoded]:
        return decode_together(self.of_this_thread(), orders)

    def _check_count(self, request: pb.DecodeRequest | pb.AnalyzeRequest) -> None:
        """Refuse a request for too much before anything walks its lists."""
        asked = len(request.pictures) + (len(request.tasks) if isinstance(request, pb.AnalyzeRequest) else 0)
        if asked > self.settings.max_paths:
            raise RequestError(
                f"a request has at most {self.settings.max_paths} pictures and tasks together, got {asked}"
            )

    async def _check(self, bitstream: bytes, wanted: Wanted) -> StreamInfo:
        """Refuse what needs no decoding to be refused, and return what the stream says of itself."""
        info = await self._inspect(bitstream)
        self._check_pixels(info)
        if wanted.picture_format == pb.PICTURE_FORMAT_RAW:
            limit = self.settings.max_message_bytes - _ENVELOPE_BYTES
            check_reply_size(3 * info.width * info.height * len(wanted.pictures), limit)
        return info

    async def _inspect(self, bitstream: bytes) -> StreamInfo:
        with self._counting_rejections():
            return await read_facts(bitstream)

    def _check_pixels(self, info: StreamInfo) -> None:
        pixels = info.width * info.height
        if pixels > self.settings.max_pixels:
            with self._counting_rejections():
                raise LimitError(
                    f"at most {self.settings.max_pixels} pixels are decoded here, "
                    f"got {info.width}x{info.height} = {pixels}"
                )

    def _count(self, codec: Codec, wanted: Wanted, decoded: Decoded) -> None:
        metrics, info = self.metrics, decoded.info
        metrics.input_pixels.inc(info.width * info.height)
        metrics.input_bytes.inc(info.bytes)
        paths = sorted({route.used for route in [*wanted.pictures, *wanted.tasks]})
        for path in paths:
            metrics.observe_rate(path=path, quality=info.quality, size=info.bytes, bpp=info.bpp)
        # what several paths have in common runs once, so its seconds belong to no single one
        together = paths[0] if len(paths) == 1 else "several"
        metrics.observe_stages(decoded.seconds, path=together, device=codec.device)
        for picture, route in zip(decoded.pictures, wanted.pictures, strict=True):
            size = len(picture.picture.file) or len(picture.picture.raw.data)
            metrics.output_bytes.labels(route.used).inc(size)

    async def _ask(self, request: pb.AnalyzeRequest, images: Sequence[Image], context: _Context) -> list[Answer]:
        raw_mask = request.picture_format == pb.PICTURE_FORMAT_RAW
        remaining = context.time_remaining()
        calls = [
            self._workers.ask(task, image, raw_mask=raw_mask, remaining_seconds=remaining)
            for task, image in zip(request.tasks, images, strict=True)
        ]
        return list(await asyncio.gather(*calls))

    @contextmanager
    def _counting_rejections(self) -> Iterator[None]:
        try:
            yield
        except BitstreamError as err:
            name = type(err).__name__.removesuffix("Error")
            self.metrics.rejected.labels(re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()).inc()
            raise


def _wanted(codec: Codec, pictures: Sequence[pb.PathRequest], tasks: list[Route], picture_format: int) -> Wanted:
    routes = [picture_route(codec, picture) for picture in pictures]
    return Wanted(routes, tasks, check_picture_format(picture_format), [picture.score_maps for picture in pictures])
