"""The newest frame of each live camera, as the decoder tells them; asked for only while somebody looks."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from typing import NamedTuple

from manypath_api.v1 import codec_pb2 as pb
from manypath_services.console.codec_services import CodecServices
from manypath_services.console.problems import ProblemError

_INTERVAL_SECONDS = 0.5  # between two frames of one camera, and between two tellings to one reader
_AGE_SECONDS = 2.0  # after which readers are told ages anew, where nothing else is new
_RETRY_SECONDS = 1.0  # between two tries to reach the decoder
_LEAST_SILENCE_SECONDS = 10.0  # of a camera that is called silent
_MISSED_FRAMES = 5  # in a row, of a slower one
_KEPT_PICTURES = 64  # decoded frames

_log = logging.getLogger(__name__)


class Sighting(NamedTuple):
    """What is known of one camera.

    Attributes:
        told: by the decoder.
        at: monotonic seconds at which it came.
    """

    told: pb.WatchResultsResponse
    at: float

    @property
    def age_seconds(self) -> float:
        """Since the frame was captured, by the clocks of two machines."""
        return max(0.0, self.told.age_seconds + time.monotonic() - self.at)

    @property
    def silent(self) -> bool:
        """Whether frames stay away for longer than this camera's do."""
        usual = 60 / self.told.frames_per_minute if self.told.frames_per_minute else 0.0
        return self.age_seconds > max(_LEAST_SILENCE_SECONDS, _MISSED_FRAMES * usual)


class Scene(NamedTuple):
    """All cameras at one moment.

    Attributes:
        cameras: by name.
        away_seconds: since when the decoder cannot be reached; None while it can.
        problem: why it cannot.
    """

    cameras: Sequence[Sighting]
    away_seconds: float | None
    problem: ProblemError | None


class Cameras:
    """Watches the decoder's results for all readers together.

    Args:
        services: of which the decoder is watched and decodes frames.
    """

    def __init__(self, services: CodecServices) -> None:
        self._services = services
        self._seen: dict[str, Sighting] = {}
        self._readers = 0
        self._watching: asyncio.Task[None] | None = None
        self._news = asyncio.Event()
        self._away_since: float | None = None
        self._problem: ProblemError | None = None
        self._asked_at: float | None = None  # since when the decoder is being listened to
        self._pictures: OrderedDict[tuple[str, int, str], bytes] = OrderedDict()
        self._decoding: dict[str, asyncio.Lock] = {}

    async def follow(self) -> AsyncGenerator[Scene, None]:
        """Yield the scene now, and again as it changes; for ever."""
        self._readers += 1
        if self._watching is None:
            self._watching = asyncio.create_task(self._watch())
        try:
            while True:
                news = self._news
                await self._look_whether_it_is_back()
                yield self._scene()
                with suppress(TimeoutError):
                    await asyncio.wait_for(news.wait(), _AGE_SECONDS)
                await asyncio.sleep(_INTERVAL_SECONDS)  # what comes meanwhile is told together
        finally:
            self._readers -= 1
            if not self._readers:
                await self.close()

    async def picture(self, camera: str, path: str) -> bytes:
        """Return the newest frame of a camera along a path, as PNG.

        Raises:
            ProblemError: there is no such camera, or the decoder cannot.
        """
        sighting = self._seen.get(camera)
        if sighting is None:
            raise ProblemError(
                "There is no such camera.", cure="The page names those that sent something lately.", status=404
            )
        key = (camera, sighting.told.header.sequence, path)
        lock = self._decoding.setdefault(camera, asyncio.Lock())
        async with lock:  # ten readers of one tile cost one decode
            if key not in self._pictures:
                answer = await self._services.decode(sighting.told.bitstream, [pb.PathRequest(path_name=path)])
                self._pictures[key] = answer.pictures[0].picture.file
                while len(self._pictures) > _KEPT_PICTURES:
                    self._pictures.popitem(last=False)
            self._pictures.move_to_end(key)
            return self._pictures[key]

    async def close(self) -> None:
        """Stop watching."""
        watching, self._watching = self._watching, None  # who comes meanwhile begins anew
        if watching is not None:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    def _scene(self) -> Scene:
        away = None if self._away_since is None else time.monotonic() - self._away_since
        return Scene([self._seen[name] for name in sorted(self._seen)], away, self._problem)

    async def _look_whether_it_is_back(self) -> None:
        """End an outage: a decoder that has just begun has nothing to tell of cameras yet."""
        listening = self._asked_at is not None and time.monotonic() - self._asked_at > _RETRY_SECONDS
        if self._away_since is not None and listening and (await self._services.health("decoder")).serving:
            self._away_since = self._problem = None

    async def _watch(self) -> None:
        while True:
            try:
                self._asked_at = time.monotonic()
                async with aclosing(self._services.watch_results(_INTERVAL_SECONDS)) as results:
                    async for told in results:
                        self._away_since = self._problem = None
                        self._seen[told.camera] = Sighting(told, time.monotonic())
                        self._tell()
            except ProblemError as problem:
                self._asked_at = None
                if self._away_since is None:
                    _log.warning("the decoder's results cannot be watched: %s", problem.detail or problem.title)
                    self._away_since = time.monotonic()
                self._problem = problem
                self._tell()
            await asyncio.sleep(_RETRY_SECONDS)

    def _tell(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()
