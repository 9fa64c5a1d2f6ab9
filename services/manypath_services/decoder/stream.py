"""What the decoder does with the frames of cameras: analyse, tell the sinks, remember."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, cast

import grpc

from manypath_api.v1 import codec_pb2 as pb
from manypath_camera.sequences import SequenceSet
from manypath_services.codec.messages import facts_message
from manypath_services.decoder.latest import Latest
from manypath_services.decoder.sessions import Sessions
from manypath_services.decoder.settings import DecoderSettings
from manypath_services.decoder.sinks import FolderSink, LinesSink, Result, ResultSink, WebhookSink
from manypath_services.decoder.work import read_facts
from manypath_services.streams.deadline import FrameDeadline

_log = logging.getLogger(__name__)
_Context = grpc.aio.ServicerContext[Any, Any]
_Analyze = Callable[[pb.AnalyzeRequest, _Context], Awaitable[pb.AnalyzeResponse]]


class AnalyzedFrames:
    """Takes the frames of ``AnalyzeStream``; see ``FrameTaker``.

    Args:
        settings: which sinks there are, and where sessions are kept.
        analyze: the unary call's handler.

    Attributes:
        latest: the newest of each camera.

    Raises:
        StartError: a sink or the file of sessions cannot be used.
    """

    def __init__(self, settings: DecoderSettings, analyze: _Analyze) -> None:
        self.latest = Latest()
        self._settings = settings
        self._analyze = analyze
        self._sessions = Sessions(settings.sessions_file)
        self._sinks: Sequence[ResultSink] = configured_sinks(settings)
        recovered = 0
        for sink in self._sinks:
            for session, sequence in sink.recover():
                self._sessions.recover(session, sequence)
                recovered += 1
        if self._sinks:
            _log.info("result sinks are open", extra={"sinks": len(self._sinks), "known_frames": recovered})

    def listen(self, session: str, tell: Callable[[pb.FrameAnswer], None]) -> None:
        """See ``FrameTaker``: every answer is there when its frame is delivered."""

    def leave(self, session: str, tell: Callable[[pb.FrameAnswer], None], untold: Iterable[pb.FrameAnswer]) -> None:
        """See ``FrameTaker``."""

    async def received(self, opened: pb.StreamOpen) -> SequenceSet:
        """See ``FrameTaker``."""
        return await self._sessions.received(opened.session, opened.settled)

    async def prepare(self, opened: pb.StreamOpen, frame: pb.BitstreamFrame) -> Result:
        """Decode and analyse a frame; see ``FrameTaker``."""
        wishes = frame.wishes
        if wishes.tasks or wishes.pictures:
            request = pb.AnalyzeRequest(
                bitstream=frame.bitstream,
                tasks=wishes.tasks,
                pictures=wishes.pictures,
                picture_format=wishes.picture_format,
            )
            deadline = FrameDeadline(self._settings.frame_seconds)
            analyzed = await self._analyze(request, cast("_Context", deadline))
            return Result(opened.session, frame, analyzed.facts, analyzed)
        return Result(opened.session, frame, facts_message(await read_facts(frame.bitstream)), pb.AnalyzeResponse())

    async def deliver(self, opened: pb.StreamOpen, frame: pb.BitstreamFrame, prepared: Result) -> pb.FrameAnswer | None:
        """Tell the sinks and remember; see ``FrameTaker``."""
        header = frame.header
        if not self._sessions.has(opened.session, header.sequence):
            await asyncio.gather(*(sink.take(prepared) for sink in self._sinks))
            await self._sessions.add(opened.session, header.sequence, header.settled)
            await self.latest.take(prepared)
        return pb.FrameAnswer(analyzed=prepared.analyzed) if frame.wishes.answer else None

    async def give_up(self, opened: pb.StreamOpen, header: pb.FrameHeader) -> None:
        """See ``FrameTaker``."""
        await self._sessions.add(opened.session, header.sequence, header.settled)

    async def close(self) -> None:
        """Finish: call it when no stream is left."""
        for sink in self._sinks:
            await sink.close()
        await self._sessions.close()


def configured_sinks(settings: DecoderSettings) -> list[ResultSink]:
    """Return the result sinks that the settings name: a new kind of sink is named here.

    Raises:
        StartError: one of them cannot be used.
    """
    sinks: list[ResultSink] = []
    if settings.results_file is not None:
        sinks.append(LinesSink(settings.results_file))
    if settings.results_webhook:
        sinks.append(WebhookSink(settings.results_webhook))
    if settings.results_folder is not None:
        sinks.append(FolderSink(settings.results_folder))
    return sinks
