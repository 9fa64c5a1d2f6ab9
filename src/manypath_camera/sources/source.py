"""What a source of frames is, and how its address names it."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit, urlunsplit

from manypath_camera.errors import ConfigurationError
from manypath_camera.frames import Captured

_PICTURE_PATH = re.compile(r"\.(jpe?g|png)$|snapshot|snap\b|still|picture|image\.cgi", re.IGNORECASE)


class Source(Protocol):
    """One camera. ``frames`` is called anew after each error, from a thread of its own.

    Attributes:
        lossless: every frame counts, so that a slow consumer is waited for; of a live camera only the newest counts.
    """

    lossless: bool

    def frames(self, ended: threading.Event) -> Iterator[Captured]:
        """Connect, and yield frames until the source ends or ``ended`` is set.

        Raises:
            SourceError: it cannot be reached, or broke.
        """


def open_source(address: str, *, timeout_seconds: float, every_seconds: float, key_frames: bool, after: str) -> Source:
    """Return the source that an address names; nothing is connected yet.

    Args:
        address: ``rtsp://`` or ``rtsps://``; ``http(s)://`` of a snapshot, or of MJPEG; ``snapshot+http(s)://`` or
            ``mjpeg+http(s)://`` where the address does not say which; a folder or a video file; ``/dev/video0``;
            ``lavfi:`` and a filter of FFmpeg; ``demo:`` for shipped photos.
        timeout_seconds: of silence, after which a connection counts as broken.
        every_seconds: how often a snapshot is asked for.
        key_frames: of H.264 and its like, decode only pictures that need no other.
        after: what becomes of a folder's file when it is safe: ``keep``, ``delete``.

    Raises:
        ConfigurationError: it names nothing that is known.
    """
    from manypath_camera.sources.files import DemoSource, FolderSource
    from manypath_camera.sources.snapshot import SnapshotSource
    from manypath_camera.sources.video import VideoSource

    def video(url: str, form: str | None = None) -> Source:
        return VideoSource(url, form=form, timeout_seconds=timeout_seconds, key_frames=key_frames)

    scheme, _, rest = address.partition(":")
    if scheme in {"rtsp", "rtsps"}:
        return video(address)
    if scheme in {"snapshot+http", "snapshot+https"}:
        return SnapshotSource(address.removeprefix("snapshot+"), every_seconds, timeout_seconds)
    if scheme in {"mjpeg+http", "mjpeg+https"}:
        return video(address.removeprefix("mjpeg+"), "mpjpeg")
    if scheme in {"http", "https"}:
        if _PICTURE_PATH.search(urlsplit(address).path):
            return SnapshotSource(address, every_seconds, timeout_seconds)
        return video(address, "mpjpeg")
    if scheme == "lavfi":
        return video(rest, "lavfi")
    if scheme == "demo":
        return DemoSource(every_seconds)
    path = Path(address)
    if address.startswith("/dev/video"):
        return video(address, "v4l2")
    if address and path.is_dir():
        return FolderSource(path, after=after)
    if path.is_file():
        return VideoSource(address, form=None, timeout_seconds=timeout_seconds, key_frames=False, real_time=True)
    raise ConfigurationError(
        f"{without_password(address)!r} is no source: give rtsp://, http(s)://, a folder or video file that is there, "
        "/dev/video0, lavfi: or demo:"
    )


def without_password(address: str) -> str:
    """Return an address as logs may have it."""
    parts = urlsplit(address)
    if parts.password is None and parts.username is None:
        return address
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{parts.username or ''}:***@{host}"))
