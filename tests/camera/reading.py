"""Reads frames from sources."""

from __future__ import annotations

import threading
from collections.abc import Callable

from manypath_camera.frames import Captured
from manypath_camera.sources.source import Source, open_source


def source(address: str, **options: object) -> Source:
    """The source of an address, with time-outs for tests."""
    return open_source(
        address,
        **{"timeout_seconds": 3.0, "every_seconds": 0.02, "key_frames": True, "after": "keep"} | options,
    )


def some(address: str, count: int = 3, **options: object) -> list[Captured]:
    """The first frames of a source."""
    found: list[Captured] = []
    return read_until(address, lambda frame: found.append(frame) or len(found) == count, **options)


def read_until(address: str, enough: Callable[[Captured], bool], **options: object) -> list[Captured]:
    """The frames of a source, up to the first of which ``enough`` is true."""
    ended = threading.Event()
    found = []
    frames = source(address, **options).frames(ended)
    for frame in frames:
        found.append(frame)
        if enough(frame):
            break
    ended.set()
    frames.close()
    return found
