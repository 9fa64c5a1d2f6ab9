"""Frames that their receiver refused for good, kept for a person to look at."""

from __future__ import annotations

import json
import re
from pathlib import Path

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")


class DeadLetters:
    """A bounded folder: the oldest go when it is full.

    Each frame is two files, ``<sequence>-<sender>.frame`` (the message as it would have been sent) and the same name
    with ``.json`` (why it was refused).

    Args:
        folder: made when it is needed.
        max_bytes: of all frames together.
        max_items: frames.
    """

    def __init__(self, folder: Path, *, max_bytes: int = 64 * 2**20, max_items: int = 1000) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._max_items = max_items

    def add(self, sequence: int, sender: str, payload: bytes, *, code: str, details: str) -> Path:
        """Keep a frame; return its file.

        Raises:
            OSError: the disk is full or broken.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{sequence:012d}-{_UNSAFE.sub('_', sender)[:64]}.frame"
        path.write_bytes(payload)
        facts = {"sequence": sequence, "sender": sender, "code": code, "details": details}
        path.with_suffix(".json").write_text(json.dumps(facts) + "\n")
        self._trim()
        return path

    def _trim(self) -> None:
        frames = sorted(self._folder.glob("*.frame"))
        size = sum(frame.stat().st_size for frame in frames)
        while len(frames) > 1 and (size > self._max_bytes or len(frames) > self._max_items):
            oldest = frames.pop(0)
            size -= oldest.stat().st_size
            oldest.unlink()
            oldest.with_suffix(".json").unlink(missing_ok=True)
