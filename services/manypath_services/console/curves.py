"""Rate curves of one picture: every path at every quality, and JPEG, WebP and AVIF; point by point, cancellable."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import NamedTuple

from manypath_services.console.baselines import NAMES, Baselines
from manypath_services.console.choices import PERCEPTUAL, Rate
from manypath_services.console.codec_services import CodecServices
from manypath_services.console.gallery import KeptPicture
from manypath_services.console.problems import ProblemError
from manypath_services.console.renditions import Renditions

QUALITIES = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0)
# Spread so that each format's points cover about the bits per pixel that our eight qualities do.
BASELINE_QUALITIES = {
    "jpeg": (5, 10, 18, 30, 45, 60, 75, 88),
    "webp": (0, 5, 15, 30, 50, 68, 80, 90),
    "avif": (8, 18, 28, 38, 48, 58, 68, 78),
}
_KEPT_CURVES = 32

_log = logging.getLogger(__name__)


class Point(NamedTuple):
    """One measured picture.

    Attributes:
        curve: path or format.
        quality: on its own scale.
        bytes: of the whole file or bitstream.
        bpp: bits per pixel.
        psnr: dB.
    """

    curve: str
    quality: float
    bytes: int
    bpp: float
    psnr: float


class Curve:
    """The measurement of one picture, at work or done.

    Args:
        picture: that is measured.
        total: points that there will be.

    Attributes:
        id: of the measurement.
        points: measured so far.
        state: "running", "done", "cancelled" or "failed".
        problem: that ended it, if it failed.
    """

    def __init__(self, picture: KeptPicture, total: int) -> None:
        self.id = secrets.token_urlsafe(12)
        self.picture = picture
        self.total = total
        self.points: list[Point] = []
        self.state = "running"
        self.problem: ProblemError | None = None
        self._task: asyncio.Task[None] | None = None
        self._news = asyncio.Event()

    def start(self, measure: Callable[[Curve], Awaitable[None]]) -> None:
        """Begin."""

        async def run() -> None:
            try:
                await measure(self)
                self.state = "done"
            except asyncio.CancelledError:
                self.state = "cancelled"
            except ProblemError as err:
                self.state, self.problem = "failed", err
            except Exception:  # noqa: BLE001  (told on the page and to the log)
                _log.exception("a rate curve failed")
                self.state = "failed"
                self.problem = ProblemError(
                    "The measurement failed.", cure="The console’s log has the reason.", status=500
                )
            finally:
                self._tell()

        self._task = asyncio.create_task(run())

    def add(self, *points: Point) -> None:
        """Take measured points."""
        self.points += points
        self._tell()

    async def cancel(self) -> None:
        """End it early; what was measured stays."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task])
        if self.state == "running":  # cancelled before its first step
            self.state = "cancelled"
            self._tell()

    async def follow(self) -> AsyncIterator[Sequence[Point]]:
        """Yield the points there are, then the new ones as they come, until it ends."""
        told = 0
        while True:
            news = self._news
            fresh, told = self.points[told:], len(self.points)
            yield fresh
            if self.state != "running":
                return
            await news.wait()

    def _tell(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()


class Curves:
    """Measures curves, a few at a time.

    Args:
        services: the encoder and the decoder.
        renditions: what they made already.
        baselines: the other formats.
        limit: measurements that may wait or run at a time.
    """

    def __init__(self, services: CodecServices, renditions: Renditions, baselines: Baselines, limit: int) -> None:
        self._services = services
        self._renditions = renditions
        self._baselines = baselines
        self._limit = limit
        self._kept: OrderedDict[str, Curve] = OrderedDict()
        self._turn = asyncio.Semaphore(1)

    async def start(self, picture: KeptPicture) -> Curve:
        """Begin to measure a picture.

        Raises:
            ProblemError: enough are under way, or the decoder cannot be reached.
        """
        if sum(curve.state == "running" for curve in self._kept.values()) >= self._limit:
            raise ProblemError(
                f"{self._limit} pictures are being measured already.",
                cure="Wait for one of them, or cancel it.",
                status=429,
            )
        known = (await self._services.decoder_capabilities()).path_names
        paths = list(dict.fromkeys((PERCEPTUAL, *known)))
        total = len(QUALITIES) * len(paths) + sum(map(len, BASELINE_QUALITIES.values()))
        curve = Curve(picture, total)
        self._kept[curve.id] = curve
        while len(self._kept) > _KEPT_CURVES and next(iter(self._kept.values())).state != "running":
            self._kept.popitem(last=False)
        curve.start(lambda own: self._measure(own, paths))
        return curve

    def find(self, curve: str) -> Curve:
        """Return a measurement.

        Raises:
            ProblemError: it is no longer kept.
        """
        if curve not in self._kept:
            raise ProblemError("This measurement is no longer here.", cure="Start it again.", status=404)
        return self._kept[curve]

    async def close(self) -> None:
        """Cancel what is under way."""
        for curve in self._kept.values():
            await curve.cancel()

    async def _measure(self, curve: Curve, paths: Sequence[str]) -> None:
        async with self._turn:  # one picture at a time: others' pages stay quick
            picture = curve.picture
            pixels = picture.width * picture.height
            for quality in QUALITIES:
                rate = Rate("quality", quality)
                stream = await self._renditions.stream(picture, rate)
                renditions = await self._renditions.paths(picture, rate, paths)
                size, bpp = stream.facts.bytes, stream.facts.bpp
                curve.add(
                    *(Point(path, quality, size, bpp, made.psnr) for path, made in zip(paths, renditions, strict=True))
                )
            for codec, qualities in BASELINE_QUALITIES.items():
                for quality in qualities:
                    made = await self._baselines.at_quality(picture, codec, quality)
                    size = len(made.file)
                    curve.add(Point(NAMES[codec], quality, size, 8 * size / pixels, made.psnr))
