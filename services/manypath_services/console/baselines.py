"""JPEG, WebP and AVIF of the same picture, written by Pillow in processes of their own, for comparison.

Settings are those of the project's evaluation: JPEG 4:2:0 with optimised tables, WebP method 6, AVIF speed 6.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Any, NamedTuple

import numpy as np
from PIL import Image as PillowImage

from manypath_services.console.gallery import KeptPicture
from manypath_services.console.pictures import Pixels, psnr
from manypath_services.console.problems import ProblemError

MEDIA_TYPES = {"jpeg": "image/jpeg", "webp": "image/webp", "avif": "image/avif"}
NAMES = {"jpeg": "JPEG", "webp": "WebP", "avif": "AVIF"}
_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "jpeg": {"optimize": True, "subsampling": "4:2:0"},
    "webp": {"method": 6},
    "avif": {"speed": 6, "max_threads": 1},
}
_QUALITIES = {"jpeg": (1, 95), "webp": (0, 100), "avif": (0, 100)}  # Pillow's, least and most


class Baseline(NamedTuple):
    """A picture in another format.

    Attributes:
        codec: "jpeg", "webp" or "avif".
        quality: on the format's own scale.
        file: as it is written.
        psnr: against the original, dB.
        fits: whether it is as small as was asked; if not, it is the smallest that the format makes.
    """

    codec: str
    quality: int
    file: bytes
    psnr: float
    fits: bool = True

    @property
    def size(self) -> int:
        """Bytes that are kept."""
        return len(self.file)


class Baselines:
    """Writes pictures in other formats, once each.

    Args:
        processes: at work at a time.
    """

    def __init__(self, processes: int) -> None:
        self._processes = processes
        self._pool: ProcessPoolExecutor | None = None

    def close(self) -> None:
        """End the processes; what they work on is dropped."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None

    async def at_quality(self, picture: KeptPicture, codec: str, quality: int) -> Baseline:
        """Return the picture at one quality of a format."""
        return await picture.once(  # type: ignore[no-any-return]
            ("baseline", codec, quality), lambda: self._write(picture.pixels, codec, quality)
        )

    async def at_bytes(self, picture: KeptPicture, codec: str, most_bytes: int) -> Baseline:
        """Return the best quality of a format that takes at most so many bytes.

        Sizes rise with quality, nearly always: a search by halves finds the last that fits, in seven steps.
        """

        async def search() -> Baseline:
            least, most = _QUALITIES[codec]
            best: Baseline | None = None
            while least <= most:
                middle = (least + most) // 2
                tried = await self.at_quality(picture, codec, middle)
                if len(tried.file) <= most_bytes:
                    best, least = tried, middle + 1
                else:
                    most = middle - 1
            if best is None:
                best = (await self.at_quality(picture, codec, _QUALITIES[codec][0]))._replace(fits=False)
            return best

        return await picture.once(("baseline of", codec, most_bytes), search)  # type: ignore[no-any-return]

    async def _write(self, pixels: Pixels, codec: str, quality: int) -> Baseline:
        if self._pool is None:  # spawned: threads of gRPC do not survive a fork
            self._pool = ProcessPoolExecutor(self._processes, mp_context=get_context("spawn"))
        try:
            written = await asyncio.get_running_loop().run_in_executor(self._pool, write, pixels, codec, quality)
        except BrokenProcessPool as err:
            self._pool = None
            raise ProblemError(
                f"The process that writes {NAMES[codec]} ended.", cure="Try again; it is started anew.", status=503
            ) from err
        return written


def write(pixels: Pixels, codec: str, quality: int) -> Baseline:
    """Write uint8 [H, W, 3] in a format and measure it; runs in a process of the pool."""
    file = io.BytesIO()
    PillowImage.fromarray(pixels).save(file, codec.upper(), quality=quality, **_OPTIONS[codec])
    with PillowImage.open(io.BytesIO(file.getvalue())) as opened:  # AVIF among them, which the encoder does not read
        again = np.asarray(opened.convert("RGB"))
    return Baseline(codec, quality, file.getvalue(), psnr(pixels, again))
