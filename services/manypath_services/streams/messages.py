"""What a stream's messages must be, before anything is done with them."""

from __future__ import annotations

import re

from manypath_api.v1 import codec_pb2 as pb
from manypath_camera.sequences import MAX_SEQUENCE
from manypath_services.common.errors import MessageError

_SESSION = re.compile(r"[A-Za-z0-9_-]{1,64}")
_LATEST_SECONDS = 253_402_300_799  # 9999-12-31, where a Timestamp ends
_CAMERA = re.compile(r"[A-Za-z0-9._-]{1,64}")


def check_open(message: pb.StreamOpen) -> None:
    """Refuse a session that nobody could resume.

    Raises:
        MessageError: its name or number cannot be.
    """
    if _SESSION.fullmatch(message.session) is None:
        raise MessageError(f"a session is 1..64 letters, digits, - and _; got {message.session[:80]!r}")
    if message.settled > MAX_SEQUENCE:
        raise MessageError(f"settled is at most 2^62, got {message.settled}")


def check_header(header: pb.FrameHeader) -> None:
    """Refuse a frame that nobody could acknowledge.

    Raises:
        MessageError: its numbers or its camera's name cannot be.
    """
    if not 1 <= header.sequence <= MAX_SEQUENCE:
        raise MessageError(f"a frame's sequence is in 1..2^62, got {header.sequence}")
    if header.settled >= header.sequence:
        raise MessageError(f"settled must be below the frame's sequence {header.sequence}, got {header.settled}")
    if _CAMERA.fullmatch(header.camera) is None:
        raise MessageError(f"a camera's name is 1..64 letters, digits, ., - and _; got {header.camera[:80]!r}")
    stamp = header.time.captured_at
    if not (0 <= stamp.seconds <= _LATEST_SECONDS and 0 <= stamp.nanos < 10**9):
        raise MessageError(f"captured_at must lie in 1970..9999, got {stamp.seconds} s {stamp.nanos} ns")
