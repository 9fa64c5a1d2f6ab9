"""The receiving side of a session: each frame once, in order, acknowledged when it is safe."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress
from typing import Any, Generic, TypeVar

import grpc
from prometheus_client import Counter

from manypath_api.v1 import codec_pb2 as pb
from manypath_camera.errors import SequenceError
from manypath_camera.sequences import SequenceSet
from manypath_services.common import logs, tracing
from manypath_services.common.boundary import stopping
from manypath_services.common.errors import MessageError, OverloadedError, ServiceError, StoppingError
from manypath_services.common.metrics import ServiceMetrics
from manypath_services.common.status import Codes, Status, status_of
from manypath_services.streams.kept_answers import KeptAnswers
from manypath_services.streams.messages import check_header, check_open
from manypath_services.streams.taker import FrameTaker, Window

Response = TypeVar("Response", pb.EncodeStreamResponse, pb.AnalyzeStreamResponse)

_log = logging.getLogger(__name__)
_PERMANENT = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.OUT_OF_RANGE,
    grpc.StatusCode.DATA_LOSS,
    grpc.StatusCode.UNIMPLEMENTED,
}
_RETRY_SECONDS = 1.0
_INTERNAL_ERRORS = 3  # of one frame; it is then refused for good, or it would come again for ever
_RANGES_TOLD = 64
_SILENT_HEARTBEATS = 3
_ANSWERS_WAITING = 256


class SupersededError(ServiceError):
    """The same session was opened anew on another stream."""

    code = grpc.StatusCode.ABORTED


class Receiver(Generic[Response]):
    """Serves the streams of all sessions of one server.

    Args:
        taker: does the work.
        response: class of the call's responses.
        window: what may be on its way in one stream.
        codes: statuses of errors that are not ours.
        metrics: where frames are counted.
    """

    def __init__(
        self,
        taker: FrameTaker[Any, Any],
        response: type[Response],
        window: Window,
        codes: Codes,
        metrics: ServiceMetrics,
    ) -> None:
        self.counts = Counter(
            "manypath_stream_frames_total",
            "Frames of streams: taken, repeated (taken before), postponed (they come again), refused for good.",
            ("outcome",),
            registry=metrics.registry,
        )
        for outcome in ("taken", "repeated", "postponed", "refused"):
            self.counts.labels(outcome)
        self.taker = taker
        self.response: Any = response
        self.window = window
        self.codes = codes
        self.answers = KeptAnswers()  # of frames that their sender has not settled
        self._streams: dict[str, _Stream] = {}

    async def serve(self, requests: AsyncIterator[Any]) -> AsyncGenerator[Response, None]:
        """Serve one stream; the handler of the call.

        Raises:
            MessageError: it does not keep to the protocol.
            SupersededError: its session was opened anew.
            StoppingError: the server is about to end; all that was acknowledged is safe.
        """
        opened = await _opening(requests, self.window.heartbeat_seconds * _SILENT_HEARTBEATS)
        stream = _Stream(self, opened)
        await self._take_over(opened.session, stream)
        try:
            seen = await self.taker.received(opened)
            self.answers.settle(opened.session, opened.settled)
            self.taker.listen(opened.session, stream.tell)
            async with aclosing(stream.run(requests, seen)) as messages:
                async for message in messages:
                    yield message
        finally:
            self.taker.leave(opened.session, stream.tell, stream.untold())
            if self._streams.get(opened.session) is stream:
                del self._streams[opened.session]

    async def _take_over(self, session: str, stream: _Stream) -> None:
        """End the work of an older stream of the session: two at once would take the same frame twice."""
        older = self._streams.get(session)
        self._streams[session] = stream
        if older is not None:
            await older.supersede()


class _Stream:
    """One stream."""

    def __init__(self, receiver: Receiver[Any], opened: pb.StreamOpen) -> None:
        self._receiver = receiver
        self._opened = opened
        self._stopping = stopping.get()
        self._seen = SequenceSet()
        self._working: dict[int, asyncio.Task[None]] = {}
        self._failures: dict[int, int] = {}
        self._turn: asyncio.Event | None = None  # set when the frame before the next one is delivered
        self._at_once = asyncio.Semaphore(receiver.window.at_once)
        self._messages: deque[Any] = deque()
        self._late: deque[Any] = deque()  # answers of frames that were acknowledged long ago
        self._acknowledge = False
        self._changed = asyncio.Event()
        self._superseded = False
        self._pumping: asyncio.Task[None] | None = None

    async def supersede(self) -> None:
        """End, and return when nothing is under way: the session goes on elsewhere.

        Its connection may be dead and its handler stuck in a write for as long as TCP has patience; the work is not.
        """
        self._superseded = True
        self._changed.set()
        await self._halt()

    def tell(self, answer: pb.FrameAnswer) -> None:
        """Send an answer that came later; too many for a slow reader are left out."""
        if len(self._late) < _ANSWERS_WAITING:
            self._late.append(answer)
            self._changed.set()

    def untold(self) -> list[pb.FrameAnswer]:
        """Return the answers that came later and were not sent."""
        return list(self._late)

    async def _halt(self) -> None:
        tasks = [*self._working.values(), *([self._pumping] if self._pumping else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def run(self, requests: AsyncIterator[Any], seen: SequenceSet) -> AsyncGenerator[Any, None]:
        """Yield what the sender is to hear, until the stream ends."""
        self._seen = seen
        window, response = self._receiver.window, self._receiver.response
        yield response(
            opened=pb.StreamOpened(
                received=self._received(),
                window_frames=window.frames,
                window_bytes=window.bytes,
                heartbeat_seconds=window.heartbeat_seconds,
            )
        )
        for answer in self._receiver.answers.of(self._opened.session):  # the last stream may have ended under it
            yield response(answer=answer)
        pump = self._pumping = asyncio.create_task(self._pump(requests))
        pump.add_done_callback(lambda _: self._changed.set())
        stopping_watch = asyncio.create_task(self._stopping.wait())
        stopping_watch.add_done_callback(lambda _: self._changed.set())
        try:
            while True:
                message = self._next()
                if message is not None:
                    yield message
                    continue
                if self._superseded:
                    raise SupersededError("the session was opened anew on another stream")
                if pump.done() and (pump.exception() is not None or not self._working):
                    pump.result()
                    return
                if self._stopping.is_set() and not self._working:
                    raise StoppingError("the server is stopping; open the session again elsewhere, or later")
                self._changed.clear()
                try:
                    async with asyncio.timeout(window.heartbeat_seconds):
                        await self._changed.wait()
                except TimeoutError:
                    yield response(heartbeat=pb.Heartbeat())
        finally:
            stopping_watch.cancel()
            await self._halt()

    def _next(self) -> Any:
        """Return the next message; an acknowledgement covers what came before it, answers first."""
        if self._messages:
            return self._messages.popleft()
        if self._late:
            return self._receiver.response(answer=self._late.popleft())
        if self._acknowledge:
            self._acknowledge = False
            return self._receiver.response(acknowledgement=self._received())
        return None

    def _received(self) -> pb.StreamAcknowledgement:
        ranges = self._seen.above[-_RANGES_TOLD:]
        return pb.StreamAcknowledgement(
            contiguous=self._seen.contiguous,
            above=[pb.SequenceRange(first=each.first, last=each.last) for each in ranges],
        )

    async def _pump(self, requests: AsyncIterator[Any]) -> None:
        silence = _SILENT_HEARTBEATS * self._receiver.window.heartbeat_seconds
        while True:
            try:
                async with asyncio.timeout(silence):
                    request = await anext(requests)
            except StopAsyncIteration:
                return
            except TimeoutError as err:
                raise MessageError(f"the sender said nothing for {silence:.0f} s") from err
            kind = request.WhichOneof("message")
            if kind == "heartbeat":
                self._settle(request.heartbeat.settled)
            elif kind == "frame":
                self._begin(request.frame)
            else:
                raise MessageError("after StreamOpen a sender sends frames and heartbeats only")

    def _settle(self, upto: int) -> None:
        try:
            self._seen.settle(upto)
        except SequenceError as err:
            raise MessageError(str(err)) from err
        self._receiver.answers.settle(self._opened.session, upto)

    def _begin(self, frame: Any) -> None:
        header = frame.header
        check_header(header)
        self._settle(header.settled)
        if header.sequence in self._seen:
            self._receiver.counts.labels("repeated").inc()
            self._tell_acknowledgement()
        elif header.sequence not in self._working and not self._stopping.is_set():
            if len(self._working) >= 2 * self._receiver.window.frames:
                raise MessageError(f"at most {self._receiver.window.frames} frames may be on their way")
            before, self._turn = self._turn, asyncio.Event()
            task = asyncio.create_task(self._work(frame, before, self._turn))
            self._working[header.sequence] = task

    async def _work(self, frame: Any, before: asyncio.Event | None, turn: asyncio.Event) -> None:
        sequence = frame.header.sequence
        facts = {"manypath.camera": frame.header.camera, "manypath.sequence": sequence}
        span = tracing.enter("frame", frame.header.traceparent, facts)  # this task is the frame's, and its context
        failure = ""
        try:
            async with self._at_once:
                prepared = await self._receiver.taker.prepare(self._opened, frame)
            if before is not None:
                await before.wait()
            # a frame that a sink has must also be remembered: not to be torn apart by the stream's end
            answer = await _to_its_end(self._deliver(frame, prepared))
        except asyncio.CancelledError:
            raise
        except Exception as err:  # noqa: BLE001  (the boundary of a frame: it is refused, the stream goes on)
            failure = f"{type(err).__name__}: {err}"
            await self._refuse(frame, err)
        else:
            self._failures.pop(sequence, None)
            if answer is not None:
                self._messages.append(self._receiver.response(answer=answer))
            self._seen.add(sequence)
            self._receiver.counts.labels("taken").inc()
            self._tell_acknowledgement()
        finally:
            span.end({}, failure)
            turn.set()
            self._working.pop(sequence, None)
            self._changed.set()

    async def _deliver(self, frame: Any, prepared: Any) -> pb.FrameAnswer | None:
        """Make a frame safe; its answer is kept until the sender has settled it."""
        answer = await self._receiver.taker.deliver(self._opened, frame, prepared)
        if answer is not None:
            _address(answer, frame.header)
            self._receiver.answers.keep(self._opened.session, answer)
        return answer

    async def _refuse(self, frame: Any, err: Exception) -> None:
        sequence = frame.header.sequence
        status = status_of(err, logs.request_id.get(), self._receiver.codes)
        if not status.expected:
            _log.exception("internal error", exc_info=err)
        permanent = status.code in _PERMANENT or self._failed_too_often(sequence, status)
        if permanent:
            await _to_its_end(self._receiver.taker.give_up(self._opened, frame.header))
            self._seen.add(sequence)
        self._receiver.counts.labels("refused" if permanent else "postponed").inc()
        if permanent:
            facts = {"session": self._opened.session, "sequence": sequence, "camera": frame.header.camera}
            told = {**facts, "grpc_code": status.code.name, "details": status.details}
            _log.warning("frame refused for good", extra=told)
        refusal = pb.FrameRefusal(
            sequence=sequence,
            code=status.code.value[0],
            details=status.details,
            permanent=permanent,
            retry_after_seconds=err.pushback_seconds if isinstance(err, OverloadedError) else _RETRY_SECONDS,
        )
        self._messages.append(self._receiver.response(refusal=refusal))

    def _failed_too_often(self, sequence: int, status: Status) -> bool:
        if status.expected:
            return False
        self._failures[sequence] = self._failures.get(sequence, 0) + 1
        return self._failures[sequence] >= _INTERNAL_ERRORS

    def _tell_acknowledgement(self) -> None:
        self._acknowledge = True
        self._changed.set()


def _address(answer: pb.FrameAnswer, header: pb.FrameHeader) -> None:
    """Say whose answer it is."""
    answer.sequence, answer.camera = header.sequence, header.camera
    answer.time.CopyFrom(header.time)
    if header.HasField("origin"):
        answer.origin.CopyFrom(header.origin)


async def _opening(requests: AsyncIterator[Any], patience_seconds: float) -> pb.StreamOpen:
    begun = time.monotonic()
    try:
        async with asyncio.timeout(patience_seconds):
            first = await anext(requests)
    except StopAsyncIteration as err:
        raise MessageError("a stream begins with StreamOpen, this one ended instead") from err
    except TimeoutError as err:
        raise MessageError(f"no StreamOpen within {time.monotonic() - begun:.0f} s") from err
    if first.WhichOneof("message") != "open":
        raise MessageError("a stream begins with StreamOpen")
    opened: pb.StreamOpen = first.open
    check_open(opened)
    return opened


async def _to_its_end(work: Any) -> Any:
    """Run ``work`` to its end even where this task is cancelled; then let the cancellation go on."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        with suppress(Exception):
            await task
        raise
