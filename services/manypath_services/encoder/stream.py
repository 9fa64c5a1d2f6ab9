"""What the encoder does with the frames of cameras: encode, keep, send on; or encode and give back."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, cast

import grpc

from manypath import BudgetError
from manypath_api.v1 import codec_pb2 as pb
from manypath_camera.errors import CameraError
from manypath_camera.retention import Limits
from manypath_camera.sealing import read_key
from manypath_camera.sender import Sender, SenderOptions
from manypath_camera.sequences import SequenceSet
from manypath_camera.spool import Origin, Spool
from manypath_camera.spool_metrics import SpoolCollector
from manypath_camera.wire import BitstreamsToDecoder
from manypath_services.codec.metrics import CodecMetrics
from manypath_services.common import tracing
from manypath_services.common.entry import StartError
from manypath_services.common.errors import OverloadedError, UnsupportedError
from manypath_services.encoder.settings import EncoderSettings
from manypath_services.streams.deadline import FrameDeadline
from manypath_services.streams.kept_answers import KeptAnswers

_log = logging.getLogger(__name__)
_Context = grpc.aio.ServicerContext[Any, Any]
_Encode = Callable[[pb.Picture, pb.Rate, _Context], Awaitable[pb.EncodeResponse]]
_MOST_SESSIONS = 4096


class SpoolFullError(OverloadedError):
    """The spool's policy keeps what it has, and refuses what comes."""


class EncodedFrames:
    """Takes the frames of ``EncodeStream``; see ``FrameTaker``.

    With a spool, a frame is safe when its bitstream is on the disk; a sender of its own brings it to the decoder, for
    as long as that takes. Without one, the bitstream goes back to the caller, who keeps it.

    Args:
        settings: where the spool is, and how it is sent.
        metrics: where spool and sender show.
        encode: the unary call's work.
        connect: opens a channel to the decoder.

    Raises:
        StartError: the spool cannot be used.
    """

    def __init__(
        self,
        settings: EncoderSettings,
        metrics: CodecMetrics,
        encode: _Encode,
        connect: Callable[[], grpc.aio.Channel],
    ) -> None:
        self._settings = settings
        self._encode = encode
        self._late = KeptAnswers()  # of clients that are away: a restart of the edge takes minutes
        self._answers: dict[str, Callable[[pb.FrameAnswer], None]] = {}
        self._memory: OrderedDict[str, SequenceSet] = OrderedDict()
        self._spool: Spool | None = None
        self._sender: Sender | None = None
        self._sending: asyncio.Task[None] | None = None
        if settings.spool is None:
            return
        try:
            key = None if settings.spool_key_file is None else read_key(settings.spool_key_file)
            limits = Limits(
                max_bytes=settings.spool_max_bytes,
                max_age_seconds=3600 * settings.spool_max_age_hours,
                min_free_bytes=settings.spool_min_free_bytes,
                policy=settings.spool_policy,
            )
            self._spool = Spool(settings.spool, limits=limits, key=key)
        except CameraError as err:
            raise StartError(str(err)) from err
        options = SenderOptions(
            backlog_share=settings.backlog_share, bits_per_second=settings.uplink_bits_per_second or None
        )
        self._sender = Sender(self._spool, connect, BitstreamsToDecoder(), options, on_answer=self._pass_on)
        metrics.registry.register(SpoolCollector(self._spool, self._sender))

    @property
    def spool(self) -> Spool | None:
        """Where frames wait for the decoder; None where the caller gets them back."""
        return self._spool

    def begin(self) -> None:
        """Send what is in the spool, from now on; call it on the event loop."""
        if self._sender is not None:
            self._sending = asyncio.create_task(self._sender.run())

    async def close(self) -> None:
        """Stop sending; what is not acknowledged stays in the spool."""
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.gather(self._sending, return_exceptions=True)
        if self._spool is not None:
            await asyncio.to_thread(self._spool.close)

    def listen(self, session: str, tell: Callable[[pb.FrameAnswer], None]) -> None:
        """Have the decoder's answers to a session's frames told, first those that came while nobody listened."""
        self._answers[session] = tell
        for answer in self._late.take(session):
            tell(answer)

    def leave(self, session: str, tell: Callable[[pb.FrameAnswer], None], untold: Iterable[pb.FrameAnswer]) -> None:
        """Keep what comes for a session from now on, and what its stream did not pass on, until it is back."""
        if self._answers.get(session) == tell:
            del self._answers[session]
        for answer in untold:
            self._pass(session, answer)

    async def received(self, opened: pb.StreamOpen) -> SequenceSet:
        """See ``FrameTaker``.

        Raises:
            UnsupportedError: there is no spool, and the caller does not want bitstreams back.
        """
        if self._spool is not None:
            known = await asyncio.to_thread(self._spool.received, opened.session)
        elif opened.return_bitstream:
            kept = self._memory_of(opened.session)
            known = SequenceSet(kept.contiguous, kept.above)
        else:
            raise UnsupportedError(
                "this encoder has no spool, so bitstreams must go back: set return_bitstream, or "
                "MANYPATH_ENCODER_SPOOL and MANYPATH_ENCODER_UPLINK"
            )
        known.settle(opened.settled)
        return known

    async def prepare(self, opened: pb.StreamOpen, frame: pb.PictureFrame) -> pb.EncodeResponse:
        """Encode a frame; see ``FrameTaker``."""
        deadline = FrameDeadline(self._settings.frame_seconds)
        context = cast("_Context", deadline)
        try:
            return await self._encode(frame.picture, frame.rate, context)
        except BudgetError:
            if not frame.at_lowest_quality:
                raise
        encoded = await self._encode(frame.picture, pb.Rate(quality=1.0), context)
        encoded.budget.asked_bytes, encoded.budget.used_bytes = frame.rate.max_bytes, encoded.facts.bytes
        return encoded

    async def deliver(
        self, opened: pb.StreamOpen, frame: pb.PictureFrame, prepared: pb.EncodeResponse
    ) -> pb.FrameAnswer | None:
        """Keep a bitstream; see ``FrameTaker``."""
        header = frame.header
        if self._spool is None:
            self._memory_of(opened.session).add(header.sequence)
            return pb.FrameAnswer(encoded=prepared)
        stored = pb.BitstreamFrame(
            header=pb.FrameHeader(
                camera=header.camera,
                time=header.time,
                traceparent=dict(tracing.headers()).get(tracing.TRACEPARENT, ""),
                origin=pb.FrameOrigin(session=opened.session, sequence=header.sequence),
            ),
            bitstream=prepared.bitstream,
            wishes=frame.wishes,
        )
        captured_at = header.time.captured_at.ToNanoseconds() / 1e9
        origin = Origin(opened.session, header.sequence, header.settled)
        put = await asyncio.to_thread(self._spool.put, header.camera, captured_at, stored.SerializeToString(), origin)
        if put.dropped is not None:
            raise SpoolFullError(f"the spool is full ({put.dropped}) and keeps what it has", pushback_seconds=5.0)
        if self._sender is not None:
            self._sender.wake()
        if not opened.return_bitstream:
            prepared.ClearField("bitstream")
        return pb.FrameAnswer(encoded=prepared)

    async def give_up(self, opened: pb.StreamOpen, header: pb.FrameHeader) -> None:
        """See ``FrameTaker``."""
        if self._spool is None:
            self._memory_of(opened.session).add(header.sequence)
        else:
            origin = Origin(opened.session, header.sequence, header.settled)
            await asyncio.to_thread(self._spool.skip, origin)

    def _memory_of(self, session: str) -> SequenceSet:
        known = self._memory.setdefault(session, SequenceSet())
        self._memory.move_to_end(session)
        while len(self._memory) > _MOST_SESSIONS:
            self._memory.popitem(last=False)
        return known

    async def _pass_on(self, answer: pb.FrameAnswer) -> None:
        """Bring the decoder's answer to the camera's client; the sinks have it in any case.

        The answer itself says whose it is: this process may have been started after the frame was sent.
        """
        origin = answer.origin
        told = pb.FrameAnswer(
            sequence=origin.sequence, camera=answer.camera, analyzed=answer.analyzed, time=answer.time
        )
        self._pass(origin.session, told)

    def _pass(self, session: str, answer: pb.FrameAnswer) -> None:
        tell = self._answers.get(session)
        if tell is not None:
            tell(answer)
        else:
            self._late.keep(session, answer)
