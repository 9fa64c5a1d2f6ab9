"""The newest result of each camera, for those who watch."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import AsyncGenerator
from typing import NamedTuple

from manypath_api.v1 import codec_pb2 as pb
from manypath_services.common.boundary import stopping
from manypath_services.common.errors import StoppingError
from manypath_services.decoder.sinks import Result

_MOST_CAMERAS = 1024  # the one silent for longest is forgotten first
_MINUTE = 60.0
_MOST_RECEIPTS = 6000  # 100 frames a second for a minute
_IDLE_SECONDS = 20.0  # after which a watcher is told the newest once more, so that ages and rates stay true


class _Receipt(NamedTuple):
    at: float
    bytes: int


class _Camera:
    def __init__(self, result: Result) -> None:
        self.result = result
        self.version = 0
        self.receipts: deque[_Receipt] = deque(maxlen=_MOST_RECEIPTS)

    def forget(self, now: float) -> None:
        while self.receipts and self.receipts[0].at < now - _MINUTE:
            self.receipts.popleft()


class Latest:
    """Keeps one result a camera, and wakes its watchers; a watcher that is slow misses what is between."""

    def __init__(self) -> None:
        self._cameras: OrderedDict[str, _Camera] = OrderedDict()
        self._version = 0
        self._changed = asyncio.Event()

    async def take(self, result: Result) -> None:
        """Keep a result; a live frame is not replaced by one of the backlog."""
        header = result.frame.header
        camera = self._cameras.setdefault(header.camera, _Camera(result))
        if header.time.captured_at.ToNanoseconds() >= camera.result.frame.header.time.captured_at.ToNanoseconds():
            camera.result = result
        self._version += 1
        camera.version = self._version
        camera.receipts.append(_Receipt(time.monotonic(), len(result.frame.bitstream)))
        self._cameras.move_to_end(header.camera)
        while len(self._cameras) > _MOST_CAMERAS:
            self._cameras.popitem(last=False)
        self._changed.set()
        self._changed = asyncio.Event()

    async def watch(self, request: pb.WatchResultsRequest) -> AsyncGenerator[pb.WatchResultsResponse, None]:
        """Yield the newest of each wanted camera, and each newer one, for ever.

        Raises:
            StoppingError: the server is about to end.
        """
        told: dict[str, tuple[int, float]] = {}
        wanted = set(request.cameras)
        ending = asyncio.create_task(stopping.get().wait())
        try:
            while not ending.done():
                changed = asyncio.create_task(self._changed.wait())
                pause = _IDLE_SECONDS
                for name, camera in list(self._cameras.items()):
                    if wanted and name not in wanted:
                        continue
                    version, at = told.get(name, (0, float("-inf")))
                    now = time.monotonic()
                    due = at + (request.interval_seconds if camera.version != version else _IDLE_SECONDS)
                    if now >= due:
                        told[name] = (camera.version, now)
                        yield self._message(name, camera, request)
                    else:
                        pause = min(pause, due - now)
                try:
                    await asyncio.wait((changed, ending), timeout=pause, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    changed.cancel()
                if request.interval_seconds:  # what comes within the interval is told after it
                    await asyncio.wait((ending,), timeout=min(request.interval_seconds, pause))
            raise StoppingError("the server is stopping; watch another one, or come again")
        finally:
            ending.cancel()

    def _message(self, name: str, camera: _Camera, request: pb.WatchResultsRequest) -> pb.WatchResultsResponse:
        camera.forget(time.monotonic())
        result = camera.result
        captured = result.frame.header.time.captured_at.ToNanoseconds() / 1e9
        return pb.WatchResultsResponse(
            camera=name,
            session=result.session,
            header=result.frame.header,
            facts=result.facts,
            analyzed=result.analyzed,
            bitstream=result.frame.bitstream if request.bitstreams else b"",
            age_seconds=time.time() - captured,
            bytes_per_minute=sum(receipt.bytes for receipt in camera.receipts),
            frames_per_minute=len(camera.receipts),
        )
