"""EncoderService: converts, calls the codec, converts back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any

import grpc

from manypath import Rate
from manypath_api.v1 import codec_pb2 as pb
from manypath_api.v1 import codec_pb2_grpc as pb_grpc
from manypath_pictures.reader import FORMATS, Size
from manypath_services.codec.messages import facts_message, path_names, path_numbers, timing_messages
from manypath_services.codec.metrics import CodecMetrics
from manypath_services.codec.serving import CodecServicer
from manypath_services.codec.statuses import CODEC_CODES
from manypath_services.common import logs
from manypath_services.common.intake import release_body
from manypath_services.encoder.pictures import check_picture
from manypath_services.encoder.rate import budget_message, read_rate
from manypath_services.encoder.settings import EncoderSettings
from manypath_services.encoder.stream import EncodedFrames
from manypath_services.encoder.uplink import Uplink
from manypath_services.encoder.work import Encoded, Order, batch_key, encode_together
from manypath_services.streams.receiver import Receiver
from manypath_services.streams.taker import Window

_Context = grpc.aio.ServicerContext[Any, Any]
# one picture is encoded at a time; the next one's bytes should be here by then
_WINDOW = Window(frames=16, bytes=64 * 2**20, at_once=1)
_NO_PATH = "none"  # a bitstream has no path yet: that is its decoder's choice
_QUICK_BYTES = 2**18  # of a file, whose header is read within a millisecond


class EncoderServicer(CodecServicer[EncoderSettings], pb_grpc.EncoderServiceServicer):
    """Encodes pictures; see ``CodecServicer``."""

    def __init__(self, settings: EncoderSettings, metrics: CodecMetrics) -> None:
        super().__init__(settings, metrics)
        self.uplink = Uplink(settings, metrics)
        self.frames = EncodedFrames(settings, metrics, self._encode, self.uplink.open_stream_channel)
        self._receiver: Receiver[pb.EncodeStreamResponse] = Receiver(
            self.frames, pb.EncodeStreamResponse, _WINDOW, CODEC_CODES, metrics
        )

    async def begin(self) -> None:
        """Send what the spool has kept."""
        self.frames.begin()

    async def close(self) -> None:
        """Finish what was accepted and hang up; call it after the server has stopped."""
        await self.frames.close()
        await super().close()
        await self.uplink.close()

    async def Encode(self, request: pb.EncodeRequest, context: _Context) -> pb.EncodeResponse:
        """Encode one picture."""
        return await self._encode(request.picture, request.rate, context)

    async def Process(self, request: pb.ProcessRequest, context: _Context) -> pb.ProcessResponse:
        """Encode one picture, have it decoded and looked at, and bring back what was found."""
        with self.uplink.place(request):
            encoded = await self._encode(request.picture, request.rate, context)
            request.ClearField("picture")
            release_body()  # however long the decoder takes, the picture is not held
            begun = time.perf_counter()
            analyzed = await self.uplink.analyze(encoded.bitstream, request, context.time_remaining())
        seconds = {"uplink": time.perf_counter() - begun}
        encoded.timings.extend(timing_messages(seconds))
        self.metrics.observe_stages(seconds, path=_NO_PATH, device=encoded.device)
        if not request.return_bitstream:
            encoded.ClearField("bitstream")
        return pb.ProcessResponse(encoded=encoded, analyzed=analyzed)

    async def EncodeStream(
        self, request_iterator: AsyncIterator[pb.EncodeStreamRequest], context: _Context
    ) -> AsyncGenerator[pb.EncodeStreamResponse, None]:
        """Encode the frames of cameras and keep them until the decoder has them."""
        self.loaded()
        async with aclosing(self._receiver.serve(request_iterator)) as responses:
            async for response in responses:
                yield response

    async def GetCapabilities(
        self, request: pb.GetCapabilitiesRequest, context: _Context
    ) -> pb.GetCapabilitiesResponse:
        """Tell which model is loaded and what is accepted."""
        codec = self.loaded()
        return pb.GetCapabilitiesResponse(
            model=codec.name,
            model_digest=codec.model_digest,
            device=codec.device,
            min_quality=Rate.MIN_QUALITY,
            max_quality=Rate.MAX_QUALITY,
            quality_step=Rate.QUALITY_STEP,
            max_pixels=self.settings.max_pixels,
            max_message_bytes=self.settings.max_message_bytes,
            picture_formats=FORMATS,
            trained_paths=path_numbers(codec.trained_paths),
            path_names=path_names(codec.trained_paths),
            has_uplink=bool(self.settings.uplink),
            max_effort=min(self.settings.max_effort, codec.most_effort),
        )

    async def _encode(self, picture: pb.Picture, rate: pb.Rate, context: _Context) -> pb.EncodeResponse:
        codec = self.loaded()
        bytes_in = picture.ByteSize()
        size = await _size(picture, self.settings.max_pixels)
        asked = read_rate(rate, min(self.settings.max_effort, codec.most_effort))
        computed = await self.compute.run_batched(
            self._work,
            Order(picture, asked),
            key=batch_key(size, asked),
            timeout_seconds=context.time_remaining(),
            pixels=size.width * size.height * asked.work,
        )
        bitstream, info, worked = computed.value
        seconds = {"queue": computed.wait_seconds, **worked}
        metrics = self.metrics
        metrics.input_pixels.inc(info.width * info.height)
        metrics.input_bytes.inc(bytes_in)
        metrics.output_bytes.labels(_NO_PATH).inc(info.bytes)
        metrics.observe_rate(path=_NO_PATH, quality=info.quality, size=info.bytes, bpp=info.bpp)
        metrics.observe_stages(seconds, path=_NO_PATH, device=codec.device)
        logs.note(width=info.width, height=info.height, bytes=info.bytes, quality=info.quality)
        logs.note(queue_seconds=round(computed.wait_seconds, 6))
        response = pb.EncodeResponse(
            bitstream=bitstream,
            facts=facts_message(info),
            device=codec.device,
            timings=timing_messages(seconds),
        )
        budget = budget_message(asked, info)
        if budget is not None:
            response.budget.CopyFrom(budget)
            metrics.budget_utilization.observe(budget.used_bytes / budget.asked_bytes)
        return response

    def _work(self, orders: Sequence[Order]) -> list[Encoded | Exception]:
        return encode_together(self.of_this_thread(), orders, self.settings.max_pixels)


async def _size(picture: pb.Picture, max_pixels: int) -> Size:
    """Check a picture at the door; a large file's header may be long, for which the event loop has no time."""
    if picture.ByteSize() < _QUICK_BYTES:  # its length alone: each look at the bytes copies them
        return check_picture(picture, max_pixels)
    return await asyncio.to_thread(check_picture, picture, max_pixels)
