"""How fast a sender sends: a link's rate, and how much may be on its way."""

from __future__ import annotations

from typing import Final

# What a message of gRPC weighs on an IPv4 link beyond its own bytes: gRPC's prefix (5), an HTTP/2 frame header (9) for
# every 16 KiB, TCP's and IP's headers and Ethernet's (66) for every 1448 bytes of payload. Acknowledgements go the
# other way and are not counted.
_PREFIX, _HTTP2_HEADER, _HTTP2_FRAME, _PACKET_HEADERS, _PACKET = 5, 9, 16384, 66, 1448


def wire_bytes(message_bytes: int) -> int:
    """Return what a message of so many bytes weighs on the link, headers of every layer included."""
    stream = message_bytes + _PREFIX
    stream += _HTTP2_HEADER * -(-stream // _HTTP2_FRAME)
    return stream + _PACKET_HEADERS * -(-stream // _PACKET)


def message_bytes(budget: int) -> int:
    """Return the largest message whose ``wire_bytes`` are at most ``budget``; at least 0."""
    low, high = 0, max(0, budget)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if wire_bytes(middle) <= budget else (low, middle - 1)
    return low


class LinkPacer:
    """Says when the next message may go, so that a link of known rate never builds a queue.

    Args:
        bits_per_second: of the link; None is unknown, and nothing is held back.
    """

    def __init__(self, bits_per_second: float | None) -> None:
        self.bits_per_second = bits_per_second
        self._free_at = 0.0

    def delay(self, now: float) -> float:
        """Return seconds until the next message may go; 0 is now."""
        return 0.0 if self.bits_per_second is None else max(0.0, self._free_at - now)

    def sent(self, now: float, size: int) -> None:
        """Count a message of ``size`` bytes that goes now."""
        if self.bits_per_second is not None:
            self._free_at = max(now, self._free_at) + 8 * wire_bytes(size) / self.bits_per_second


_TARGET_SECONDS: Final = 2.0  # between sending a frame and its acknowledgement, where the link decides
_LEAST_BYTES: Final = 64 * 1024
_LEAST_FRAMES: Final = 2  # one under way while another is acknowledged


class DelayWindow:
    """How many bytes may be on their way: grows while acknowledgements come soon, shrinks when they come late.

    A link of unknown rate has deep buffers somewhere; what waits in them delays every live frame behind it. So the
    window aims at two seconds between a frame and its acknowledgement, within what the receiver allows.

    Args:
        most_frames: of the receiver.
        most_bytes: of the receiver.
    """

    def __init__(self, most_frames: int, most_bytes: int) -> None:
        self._most_frames = max(1, most_frames)
        self._most_bytes = max(1, most_bytes)
        self._bytes = float(min(_LEAST_BYTES, self._most_bytes))
        self._shrunk_at = float("-inf")

    def allows(self, frames: int, size: int, next_size: int) -> bool:
        """Return whether another frame may go.

        Args:
            frames: on their way.
            size: their bytes.
            next_size: bytes of the frame that would go.
        """
        if frames == 0:
            return True
        if frames >= self._most_frames or size + next_size > self._most_bytes:
            return False
        return frames < _LEAST_FRAMES or size + next_size <= self._bytes

    def acknowledged(self, now: float, sent_at: float, size: int) -> None:
        """Learn from a frame that was sent at ``sent_at`` and is acknowledged now."""
        if now - sent_at <= _TARGET_SECONDS:
            self._bytes = min(self._bytes + size, float(self._most_bytes))
        elif sent_at > self._shrunk_at:  # once for all frames that were sent before it shrank
            self._shrunk_at = now
            self._bytes = max(0.7 * self._bytes, float(min(_LEAST_BYTES, self._most_bytes)))
