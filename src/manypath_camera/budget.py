"""What a camera may spend: a quality, a size, a link's rate or a day's quota, each kept by real bytes."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import NamedTuple, Protocol

from manypath_api.v1 import codec_pb2 as pb
from manypath_camera.pacing import message_bytes, wire_bytes

# Of a frame beside its bitstream: names, times, wishes in its message, 150 to 250 with one or two tasks; and what this
# side sends when the frame is acknowledged, TCP's own acknowledgements, window updates and pings: measured 210 to 270.
ENVELOPE_BYTES = 600
_DAY = 86_400.0  # seconds
_SURPLUS_SHARE = 1 / 8  # of saved bytes, that one frame may take on top of what has come in since the last
_LEAST_BYTES = 400  # of a bitstream; below it no picture fits, and asking costs an encode
_FIRST_FLOOR_BYTES = 8000  # until the first frame tells what the lowest quality needs
_MOST_WAITED_SHARE = 0.9  # of the capacity
_FLOOR_MARGIN, _FLOOR_DECAY = 1.1, 0.99


class Grant(NamedTuple):
    """What a frame may spend.

    Attributes:
        rate: for the encoder.
        reserved: bytes on the wire, taken from the budget until the real size is known.
    """

    rate: pb.Rate
    reserved: int = 0


class Budget(Protocol):
    """Says what the next frame may spend; used from several threads."""

    def grant(self, now: float) -> Grant | None:
        """Return what a frame may spend now, reserved; None where it should wait.

        Args:
            now: seconds of a clock that never jumps.
        """

    def settle(self, grant: Grant, used: int | None) -> None:
        """Replace a reservation by the truth.

        Args:
            grant: as given.
            used: bytes of the bitstream; None where the frame was not sent.
        """

    @property
    def left(self) -> float | None:
        """Bytes that could be spent now; None where there is no such limit."""

    def state(self) -> Mapping[str, object]:
        """Return what must outlive a restart."""


class FixedRate:
    """The same for every frame: a quality, a size, or bits per pixel.

    Args:
        rate: for the encoder.
    """

    left: float | None = None

    def __init__(self, rate: pb.Rate) -> None:
        self._rate = rate

    def grant(self, now: float) -> Grant | None:
        """See ``Budget``."""
        return Grant(self._rate)

    def settle(self, grant: Grant, used: int | None) -> None:
        """See ``Budget``."""

    def state(self) -> Mapping[str, object]:
        """See ``Budget``."""
        return {}


def no_more_than(grant: Grant, rate: pb.Rate, pixels: int) -> Grant:
    """Return a grant for a frame that deserves less than the next one might.

    Args:
        grant: as the camera's budget gave it; what the frame leaves over is there for the next.
        rate: that this frame may have; of a budget in bytes, ``max_bytes`` or ``target_bpp``.
        pixels: of the frame.
    """
    if not grant.reserved:
        return Grant(rate)
    most = rate.max_bytes or int(rate.target_bpp * pixels / 8)
    lowered = pb.Rate(max_bytes=max(1, min(most, grant.rate.max_bytes)), effort=rate.effort)
    return Grant(lowered, grant.reserved)


class TokenBucket:
    """Bytes come in at a steady rate, up to a capacity; frames take them out, by what they really weigh on the wire.

    Over any time the bytes spent are at most the capacity plus the rate times that time; and what a frame leaves over
    is there for the next, so that nearly everything is spent where there are frames to spend it on.

    Args:
        per_second: bytes that come in.
        capacity: bytes that can be saved.
        tokens: bytes that are there at the start.
        effort: for the encoder.
    """

    def __init__(self, per_second: float, capacity: float, tokens: float = 0.0, effort: int = 0) -> None:
        self._effort = effort
        self._per_second = per_second
        self._capacity = capacity
        self._tokens = min(tokens, capacity)
        floor = min(_FIRST_FLOOR_BYTES, max(_LEAST_BYTES, message_bytes(int(capacity / 2)) - ENVELOPE_BYTES))
        self._floor: float = floor
        self._seen_at: float | None = None
        self._granted_at: float | None = None
        self._lock = threading.Lock()

    @classmethod
    def of_link(cls, bits_per_second: float, max_delay_seconds: float, effort: int = 0) -> TokenBucket:
        """Return the budget of a link whose frames must not take longer than ``max_delay_seconds`` each."""
        per_second = bits_per_second / 8
        return cls(per_second, per_second * max_delay_seconds, effort=effort)

    @classmethod
    def of_day(cls, quota_bytes: float, effort: int = 0) -> TokenBucket:
        """Return the budget of a day: in no 24 hours is more spent than the quota, wherever they begin.

        An hour's worth can be saved for when something happens; that much less comes in.
        """
        capacity = quota_bytes / 24
        return cls((quota_bytes - capacity) / _DAY, capacity, capacity, effort)

    @property
    def left(self) -> float | None:
        """See ``Budget``."""
        return self._tokens

    @property
    def per_second(self) -> float:
        """Bytes that come in."""
        return self._per_second

    def grant(self, now: float) -> Grant | None:
        """See ``Budget``."""
        with self._lock:
            if self._seen_at is not None:
                self._tokens = min(self._capacity, self._tokens + self._per_second * max(0.0, now - self._seen_at))
            self._seen_at = now
            since = 0.0 if self._granted_at is None else now - self._granted_at
            income = self._per_second * since
            wanted = income + _SURPLUS_SHARE * max(0.0, self._tokens - income)
            least = wire_bytes(int(max(self._floor, _LEAST_BYTES)) + ENVELOPE_BYTES)
            reserved = int(min(self._tokens, max(wanted, least)))
            # a capacity below what the lowest quality needs must not stop the camera for ever: it runs into debt
            if reserved < min(least, int(_MOST_WAITED_SHARE * self._capacity)):
                return None
            size = max(1, message_bytes(reserved) - ENVELOPE_BYTES)
            self._tokens -= reserved
            self._granted_at = now
            return Grant(pb.Rate(max_bytes=size, effort=self._effort), reserved)

    def settle(self, grant: Grant, used: int | None) -> None:
        """See ``Budget``."""
        real = 0 if used is None else wire_bytes(used + ENVELOPE_BYTES)
        with self._lock:
            self._tokens = min(self._capacity, self._tokens + grant.reserved - real)
            if used is not None:
                if used > grant.rate.max_bytes:  # the lowest quality, which needed more: wait for as much from now on
                    self._floor = _FLOOR_MARGIN * used
                else:
                    self._floor = max(float(_LEAST_BYTES), _FLOOR_DECAY * self._floor)

    def state(self) -> Mapping[str, object]:
        """See ``Budget``."""
        return {"tokens": self._tokens, "floor": self._floor}

    def restore(self, state: Mapping[str, object], away_seconds: float) -> None:
        """Go on from an earlier process's state.

        Args:
            state: what ``state`` returned there; empty is a fresh start.
            away_seconds: between then and now.
        """
        tokens, floor = state.get("tokens"), state.get("floor")
        if isinstance(tokens, int | float):
            self._tokens = min(self._capacity, float(tokens) + self._per_second * max(0.0, away_seconds))
        if isinstance(floor, int | float):
            self._floor = float(floor)
