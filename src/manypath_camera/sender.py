"""Sends a spool's frames along a stream, for ever: reconnects, resumes, and deletes what the receiver has."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

import grpc

from manypath_api.v1 import codec_pb2 as pb
from manypath_camera.outbox import Outbox
from manypath_camera.pacing import DelayWindow, LinkPacer
from manypath_camera.sequences import SequenceRange
from manypath_camera.spool import Item, Spool
from manypath_camera.wire import Wire

_log = logging.getLogger(__name__)
_OPEN_SECONDS = 30.0  # a receiver that says nothing for so long after StreamOpen is not there
_SILENT_HEARTBEATS = 3
_LEAST_HEARTBEAT_SECONDS = 0.05
_SPOOL_TROUBLE_SECONDS = 1.0
_MOST_ANSWERED = 10_000  # frames of which is remembered that their answer came: it may come again with the next stream


class SenderState(StrEnum):
    """Where a sender stands."""

    WAITING = "waiting"
    CONNECTING = "connecting"
    OPEN = "open"


@dataclass(frozen=True)
class SenderOptions:
    """How a sender behaves.

    Attributes:
        backlog_share: of the bytes, that the backlog gets while live frames wait; 0..1.
        bits_per_second: of the link, where it is known; sending keeps to it.
        first_backoff_seconds: before the second attempt to connect; each further one waits up to twice as long.
        longest_backoff_seconds: where the doubling ends. Attempts never do.
        return_bitstream: answers bring the bitstream along; to an encoder only.
    """

    backlog_share: float = 0.5
    bits_per_second: float | None = None
    first_backoff_seconds: float = 1.0
    longest_backoff_seconds: float = 30.0
    return_bitstream: bool = False


class SenderCounts:
    """What a sender did since it began.

    Attributes:
        sent: frames, those sent again included.
        acknowledged: frames.
        bytes: of messages with frames.
        streams: that were opened.
        failures: streams and attempts that ended with an error.
    """

    def __init__(self) -> None:
        self.sent = self.acknowledged = self.bytes = self.streams = self.failures = 0


class StreamBrokenError(Exception):
    """The stream ended, or its receiver fell silent or broke the protocol."""


class _OnItsWay(NamedTuple):
    sent_at: float
    size: int


class Sender:
    """Empties a spool into a receiver's stream.

    Args:
        spool: whose frames go.
        connect: opens a new channel; each stream has its own, so that no back-off of an old one delays it.
        wire: which call is spoken.
        options: how it behaves.
        on_answer: called once with what became of a frame, before the frame leaves the spool; of an encoder, later once
            more with the decoder's answer.
        on_refusal: called with a refusal for good, before the frame moves to the dead letters.

    Attributes:
        state: where it stands.
        counts: what it did.
        last_error: of the stream before this one; empty where there was none.
    """

    def __init__(
        self,
        spool: Spool,
        connect: Callable[[], grpc.aio.Channel],
        wire: Wire,
        options: SenderOptions | None = None,
        *,
        on_answer: Callable[[pb.FrameAnswer], Awaitable[None]] | None = None,
        on_refusal: Callable[[pb.FrameRefusal], Awaitable[None]] | None = None,
    ) -> None:
        self.state = SenderState.WAITING
        self.counts = SenderCounts()
        self.last_error = ""
        self._spool = spool
        self._connect = connect
        self._wire = wire
        self._options = options or SenderOptions()
        self._on_answer = on_answer
        self._on_refusal = on_refusal
        self._pacer = LinkPacer(self._options.bits_per_second)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake = asyncio.Event()
        self._outbox: Outbox | None = None
        self._on_way: dict[int, _OnItsWay] = {}
        self._bytes_on_way = 0
        self._answered: OrderedDict[tuple[int, bool], None] = OrderedDict()

    @property
    def live_after(self) -> int | None:
        """The last sequence number that was in the spool when the stream began; None while there is no stream."""
        return self._outbox.live_after if self._outbox is not None and self.state is SenderState.OPEN else None

    @property
    def bits_per_second(self) -> float | None:
        """The link's rate, which sending keeps to; None is unknown."""
        return self._options.bits_per_second

    @property
    def on_their_way(self) -> int:
        """Frames sent and not yet acknowledged."""
        return len(self._on_way)

    def wake(self) -> None:
        """Say that the spool has something new; from any thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._wake.set)

    async def run(self) -> None:
        """Send until cancelled."""
        self._loop = asyncio.get_running_loop()
        backoff = self._options.first_backoff_seconds
        while True:
            self.state = SenderState.CONNECTING
            streams = self.counts.streams
            try:
                await self._stream()
            except (grpc.aio.AioRpcError, grpc.aio.UsageError, StreamBrokenError) as err:
                self._tell(err)
            except Exception as err:  # noqa: BLE001  (a full disk, a closed channel: a sender never gives up)
                _log.exception("sending failed")
                self._tell(err)
            finally:
                self.state = SenderState.WAITING
                self._on_way.clear()
                self._bytes_on_way = 0
                self._spool.release()
            if self.counts.streams > streams:
                backoff = self._options.first_backoff_seconds
            # between half of it and all: many senders that lost one receiver do not come back at once
            await asyncio.sleep(backoff * random.uniform(0.5, 1.0))
            backoff = min(2 * backoff, self._options.longest_backoff_seconds)

    def _tell(self, err: Exception) -> None:
        self.counts.failures += 1
        text = f"{err.code().name}: {err.details()}" if isinstance(err, grpc.aio.AioRpcError) else str(err)
        if text != self.last_error:  # one line a change, not one an attempt
            _log.warning("the stream ended; it is tried again for ever", extra={"details": text})
        self.last_error = text

    async def _stream(self) -> None:
        channel = self._connect()
        try:
            call = self._wire.call(channel)
            opened = await self._open(call)
            self.counts.streams += 1
            self.state = SenderState.OPEN
            self.last_error = ""
            received = opened.received
            _log.info("the stream is open", extra={"acknowledged": received.contiguous})
            await asyncio.to_thread(self._acknowledge, received)
            self._outbox = await asyncio.to_thread(Outbox, self._spool, self._options.backlog_share)
            window = DelayWindow(opened.window_frames, opened.window_bytes)
            heartbeat = max(_LEAST_HEARTBEAT_SECONDS, opened.heartbeat_seconds or _OPEN_SECONDS)
            tasks = [
                asyncio.create_task(self._write(call, window, heartbeat)),
                asyncio.create_task(self._read(call, window, _SILENT_HEARTBEATS * heartbeat)),
            ]
            try:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                call.cancel()
        finally:
            await channel.close(None)

    async def _open(self, call: Any) -> pb.StreamOpened:
        opening = pb.StreamOpen(
            session=self._spool.session,
            settled=self._spool.settled,
            return_bitstream=self._options.return_bitstream,
        )
        try:
            async with asyncio.timeout(_OPEN_SECONDS):
                await call.write(self._wire.open(opening))
                first = await call.read()
        except TimeoutError as err:
            call.cancel()
            raise StreamBrokenError(f"the receiver said nothing for {_OPEN_SECONDS:.0f} s") from err
        if first is grpc.aio.EOF:  # type: ignore[attr-defined]  # its stubs lack it
            raise await _end_of(call)
        if first.WhichOneof("message") != "opened":
            call.cancel()
            raise StreamBrokenError("the receiver's first message does not open the stream")
        opened: pb.StreamOpened = first.opened
        return opened

    # ------------------------------------------------------------------------------------------- one way

    async def _write(self, call: Any, window: DelayWindow, heartbeat_seconds: float) -> None:
        outbox = self._outbox
        assert outbox is not None
        item: Item | None = None
        written_at = time.monotonic()
        while True:
            self._wake.clear()
            now = time.monotonic()
            if item is None:
                item = outbox.next(now) if outbox.is_ready(now) else await asyncio.to_thread(outbox.next, now)
            patience = written_at + heartbeat_seconds - now
            if item is not None:
                size = len(item.payload)
                delay = self._pacer.delay(now)
                if window.allows(len(self._on_way), self._bytes_on_way, size) and delay <= 0:
                    await self._send(call, item)
                    item, written_at = None, time.monotonic()
                    continue
                if delay > 0:
                    patience = min(patience, delay)
            else:
                retry_at = outbox.next_retry()
                if retry_at is not None:
                    patience = min(patience, retry_at - now)
            if await self._woken_within(patience):
                continue
            if time.monotonic() >= written_at + heartbeat_seconds:
                await call.write(self._wire.heartbeat(self._spool.settled))
                written_at = time.monotonic()

    async def _woken_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await self._wake.wait()
        except TimeoutError:
            return False
        return True

    async def _send(self, call: Any, item: Item) -> None:
        request = self._wire.frame(item.payload, item.sequence, min(self._spool.settled, item.sequence - 1))
        size = request.ByteSize()
        now = time.monotonic()
        self._on_way[item.sequence] = _OnItsWay(now, len(item.payload))
        self._bytes_on_way += len(item.payload)
        self._pacer.sent(now, size)
        self.counts.sent += 1
        self.counts.bytes += size
        await call.write(request)

    # ------------------------------------------------------------------------------------- the other way

    async def _read(self, call: Any, window: DelayWindow, silence_seconds: float) -> None:
        while True:
            try:
                async with asyncio.timeout(silence_seconds):
                    message = await call.read()
            except TimeoutError as err:
                raise StreamBrokenError(f"the receiver said nothing for {silence_seconds:.0f} s") from err
            if message is grpc.aio.EOF:  # type: ignore[attr-defined]  # its stubs lack it
                raise await _end_of(call)
            kind = message.WhichOneof("message")
            if kind == "acknowledgement":
                await self._take_acknowledgement(message.acknowledgement, window)
            elif kind == "answer":
                await self._take_answer(message.answer)
            elif kind == "refusal":
                await self._take_refusal(message.refusal)

    async def _take_answer(self, answer: pb.FrameAnswer) -> None:
        key = (answer.sequence, answer.HasField("analyzed"))
        if key in self._answered:  # the stream before this one ended after it and before its frame was settled
            return
        self._answered[key] = None
        if len(self._answered) > _MOST_ANSWERED:
            self._answered.popitem(last=False)
        if self._on_answer is not None:
            await self._on_answer(answer)

    async def _take_acknowledgement(self, received: pb.StreamAcknowledgement, window: DelayWindow) -> None:
        now = time.monotonic()
        for sequence in [number for number in self._on_way if _covers(received, number)]:
            sent = self._on_way.pop(sequence)
            self._bytes_on_way -= sent.size
            window.acknowledged(now, sent.sent_at, sent.size)
            self.counts.acknowledged += 1
        self._wake.set()
        await asyncio.to_thread(self._acknowledge, received)

    def _acknowledge(self, received: pb.StreamAcknowledgement) -> None:
        # a receiver cannot have what was never sent: one that says so would empty the spool
        contiguous = min(received.contiguous, self._spool.last_sequence)
        self._spool.acknowledge(contiguous, [SequenceRange(each.first, each.last) for each in received.above])

    async def _take_refusal(self, refusal: pb.FrameRefusal) -> None:
        sequence = refusal.sequence
        sent = self._on_way.pop(sequence, None)
        if sent is None:
            return
        self._bytes_on_way -= sent.size
        self._wake.set()
        if not refusal.permanent:
            later = time.monotonic() + max(0.1, refusal.retry_after_seconds) * random.uniform(1.0, 1.5)
            if self._outbox is not None:
                self._outbox.retry(later, sequence)
            return
        if self._on_refusal is not None:
            await self._on_refusal(refusal)
        code = _code_name(refusal.code)
        _log.error(
            "a frame was refused for good", extra={"sequence": sequence, "code": code, "details": refusal.details}
        )
        await asyncio.to_thread(self._spool.reject, sequence, code=code, details=refusal.details)


def _covers(received: pb.StreamAcknowledgement, sequence: int) -> bool:
    return sequence <= received.contiguous or any(each.first <= sequence <= each.last for each in received.above)


def _code_name(number: int) -> str:
    names = {code.value[0]: code.name for code in grpc.StatusCode}
    return names.get(number, str(number))


async def _end_of(call: Any) -> Exception:
    code, details = await call.code(), await call.details()
    if code is grpc.StatusCode.OK:
        return StreamBrokenError("the receiver ended the stream")
    return StreamBrokenError(f"{code.name}: {details}")
