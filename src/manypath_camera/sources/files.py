"""Pictures from a folder that somebody fills, and the photos that are shipped for trying things out."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from manypath_camera.errors import SourceError
from manypath_camera.frames import Captured

_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}
_LOOK_SECONDS = 0.5
_QUIET_LOOKS = 2  # a file whose size did not change for so many looks is complete


class FolderSource:
    """Every picture that comes into a folder, in the order of their times and names, each once.

    Which one was last is kept with the frames (``Captured.name`` is the cursor), so that a restart goes on from there.

    Args:
        folder: that is filled by a camera's FTP upload, a script, or by hand.
        after: what becomes of a file when its frame is safe: ``keep`` or ``delete``.
    """

    lossless = True

    def __init__(self, folder: Path, *, after: str = "keep") -> None:
        self._folder = folder
        self._after = after
        self._cursor: tuple[int, str] = (0, "")
        self._sizes: dict[Path, tuple[int, int]] = {}

    def go_on_after(self, cursor: str) -> None:
        """Leave out what came up to a frame's name."""
        stamp, _, name = cursor.partition(":")
        if stamp.isdigit():
            self._cursor = (int(stamp), name)

    def safe(self, cursor: str) -> None:
        """Hear that a frame is on the disk elsewhere."""
        if self._after == "delete":
            (self._folder / cursor.partition(":")[2]).unlink(missing_ok=True)

    def frames(self, ended: threading.Event) -> Iterator[Captured]:
        """See ``Source``."""
        while not ended.is_set():
            ready = self._ready()
            for stamp, name in ready:
                try:
                    picture = (self._folder / name).read_bytes()
                except OSError:
                    continue  # taken away meanwhile
                self._cursor = (stamp, name)
                yield Captured(picture, name=f"{stamp}:{name}")
                if ended.is_set():
                    return
            if not ready:
                ended.wait(_LOOK_SECONDS)

    def _ready(self) -> list[tuple[int, str]]:
        """Return (time, name) of complete files beyond the cursor; one being written holds later ones back."""
        try:
            entries = [path for path in self._folder.iterdir() if path.suffix.lower() in _SUFFIXES]
            found = sorted((path.stat().st_mtime_ns, path.name, path.stat().st_size) for path in entries)
        except OSError as err:
            raise SourceError(f"the folder {self._folder} cannot be read: {err.strerror}") from err
        ready: list[tuple[int, str]] = []
        for stamp, name, size in found:
            if (stamp, name) <= self._cursor:
                continue
            path = self._folder / name
            known, looks = self._sizes.get(path, (-1, 0))
            self._sizes[path] = (size, looks + 1 if size == known else 1)
            if size == 0 or self._sizes[path][1] < _QUIET_LOOKS:
                break
            ready.append((stamp, name))
            del self._sizes[path]
        return ready


class DemoSource:
    """The shipped photos, one after another, for ever.

    Args:
        every_seconds: between two of them.
    """

    lossless = False

    def __init__(self, every_seconds: float) -> None:
        self._every_seconds = every_seconds

    def frames(self, ended: threading.Event) -> Iterator[Captured]:
        """See ``Source``."""
        photos = _shipped_photos()
        if not photos:
            raise SourceError("no photos are shipped with this installation; give a folder of your own as --source")
        while True:
            for photo in photos:
                yield Captured(photo.read_bytes())
                if ended.wait(self._every_seconds):
                    return


def _shipped_photos() -> list[Path]:
    found = find_spec("manypath_services")  # where it lies; nothing of it is imported
    places = (found.submodule_search_locations if found else None) or ()
    folders = [Path(place) / "console" / "photos" for place in places]
    return sorted(
        path for folder in folders if folder.is_dir() for path in folder.iterdir() if path.suffix in _SUFFIXES
    )
