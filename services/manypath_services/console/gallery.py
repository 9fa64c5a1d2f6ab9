"""Pictures that people are looking at, and what was made of them: kept in memory, bounded, let go when unseen."""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from importlib import resources
from typing import Any, NamedTuple

from manypath_services.console.pictures import Pixels, read_upload
from manypath_services.console.problems import ProblemError

_KEPT_OF_EACH = 160  # things made of one picture; each is a PNG at most
_ENTRY_BYTES = 1024  # of what has no length


class Photo(NamedTuple):
    """A photo that the console brings along.

    Attributes:
        id: as in permalinks.
        title: for the page.
        file: its name.
        credit: who made it, and the licence.
    """

    id: str
    title: str
    file: str
    credit: str


PHOTOS = (
    Photo("photo-pagoda", "Pagoda", "pagoda.jpg", "danielbuechele, CC BY 2.0"),
    Photo("photo-coffee", "Coffee", "coffee.webp", "Rachel Michetti, CC0"),
    Photo("photo-cat", "Cat", "cat.webp", "Stéfan van der Walt, CC0"),
)


@dataclass
class KeptPicture:
    """One picture and what was made of it.

    Attributes:
        id: nobody guesses it, so that only who uploaded a picture sees it.
        name: of its file.
        file: as it came.
        pixels: uint8 [H, W, 3], upright.
        shown: a file of these pixels for the browser.
        media_type: of ``shown``.
    """

    id: str
    name: str
    file: bytes
    pixels: Pixels
    shown: bytes
    media_type: str
    seen: float = 0.0
    _made: OrderedDict[Hashable, Any] = field(default_factory=OrderedDict)
    _locks: dict[Hashable, asyncio.Lock] = field(default_factory=dict)

    @property
    def width(self) -> int:
        """Pixels."""
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        """Pixels."""
        return int(self.pixels.shape[0])

    @property
    def size(self) -> int:
        """Bytes of everything that is kept."""
        own = len(self.file) + self.pixels.nbytes + (0 if self.shown is self.file else len(self.shown))
        return own + sum(getattr(made, "size", _ENTRY_BYTES) for made in self._made.values())

    def recall(self, key: Hashable) -> Any:
        """Return what was made under ``key``; None if nothing was."""
        made = self._made.get(key)
        if made is not None:
            self._made.move_to_end(key)
        return made

    def keep(self, key: Hashable, made: Any) -> None:
        """Keep something, and let go of what was longest unused."""
        self._made[key] = made
        self._made.move_to_end(key)
        while len(self._made) > _KEPT_OF_EACH:
            self._made.popitem(last=False)

    async def once(self, key: Hashable, make: Callable[[], Awaitable[Any]]) -> Any:
        """Return what is kept under ``key``; else await ``make()`` and keep it. Who comes meanwhile waits for it."""
        made = self.recall(key)
        if made is not None:
            return made
        lock = self._locks.setdefault(key, asyncio.Lock())
        try:
            async with lock:  # who waited finds it made, or makes it where the first one went away
                made = self.recall(key)
                if made is None:
                    made = await make()
                    self.keep(key, made)
                return made
        finally:
            if not lock.locked():
                self._locks.pop(key, None)


class Gallery:
    """Keeps pictures.

    Args:
        max_pixels: of a picture.
        kept_bytes: of all of them together; the longest unseen go first.
        kept_seconds: after which an unseen one is let go.
    """

    def __init__(self, *, max_pixels: int, kept_bytes: int, kept_seconds: float) -> None:
        self._max_pixels = max_pixels
        self._kept_bytes = kept_bytes
        self._kept_seconds = kept_seconds
        self._kept: OrderedDict[str, KeptPicture] = OrderedDict()

    @property
    def size(self) -> int:
        """Bytes of everything that is kept."""
        return sum(one.size for one in self._kept.values())

    async def add(self, file: bytes, name: str) -> KeptPicture:
        """Keep an upload.

        Raises:
            ProblemError: it is no picture, or too large.
        """
        return await self._keep(secrets.token_urlsafe(16), file, name)

    async def find(self, picture: str) -> KeptPicture:
        """Return a kept picture, or a shipped photo.

        Raises:
            ProblemError: it was let go, or never was.
        """
        self._trim()
        kept = self._kept.get(picture)
        if kept is None:
            photo = next((photo for photo in PHOTOS if photo.id == picture), None)
            if photo is None:
                raise ProblemError(
                    "This picture is no longer here.",
                    cure="Pictures are kept in memory for a while and then let go. Send it again.",
                    status=404,
                )
            file = (resources.files("manypath_services.console") / "photos" / photo.file).read_bytes()
            kept = await self._keep(photo.id, file, photo.file)
        kept.seen = time.monotonic()
        self._kept.move_to_end(picture)
        return kept

    async def _keep(self, picture: str, file: bytes, name: str) -> KeptPicture:
        upload = await asyncio.to_thread(read_upload, file, self._max_pixels)
        if picture in self._kept:  # another tab was quicker
            return self._kept[picture]
        kept = KeptPicture(
            picture, _file_name(name), file, upload.pixels, upload.shown, upload.media_type, time.monotonic()
        )
        self._kept[picture] = kept
        self._trim()
        return kept

    def _trim(self) -> None:
        """Let go what is too old or too much; the picture seen last stays."""
        oldest = time.monotonic() - self._kept_seconds
        for picture in [one.id for one in self._kept.values() if one.seen < oldest]:
            del self._kept[picture]
        while len(self._kept) > 1 and self.size > self._kept_bytes:
            self._kept.popitem(last=False)


def _file_name(name: str) -> str:
    """Return a name that fits a line and an attachment's header."""
    last = name.replace("\\", "/").rpartition("/")[2]
    return re.sub(r"[^\w. -]", "_", last)[:80] or "picture"
