"""What a receiver of frames asks of those who do the work, and what it lets be on its way."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from manypath_api.v1 import codec_pb2 as pb
from manypath_camera.sequences import SequenceSet

Frame_contra = TypeVar("Frame_contra", pb.PictureFrame, pb.BitstreamFrame, contravariant=True)
Prepared = TypeVar("Prepared")


class FrameTaker(Protocol[Frame_contra, Prepared]):
    """What a receiver does with frames."""

    def listen(self, session: str, tell: Callable[[pb.FrameAnswer], None]) -> None:
        """Know how to tell a session's stream an answer that comes later."""

    def leave(self, session: str, tell: Callable[[pb.FrameAnswer], None], untold: Iterable[pb.FrameAnswer]) -> None:
        """Know that this stream hears no more, and which answers it was told and did not pass on."""

    async def received(self, opened: pb.StreamOpen) -> SequenceSet:
        """Return which frames of a session are safe here; a set of the caller's own.

        Raises:
            Exception: no frame of this session can be taken; the stream ends, and its sender keeps what it has.
        """

    async def prepare(self, opened: pb.StreamOpen, frame: Frame_contra) -> Prepared:
        """Do the work that may run beside that of other frames.

        Raises:
            Exception: the frame is refused.
        """

    async def deliver(self, opened: pb.StreamOpen, frame: Frame_contra, prepared: Prepared) -> pb.FrameAnswer | None:
        """Make the frame safe, in order of arrival; it runs to its end even where the stream does not.

        Raises:
            Exception: the frame is refused.
        """

    async def give_up(self, opened: pb.StreamOpen, header: pb.FrameHeader) -> None:
        """Remember that a frame was refused for good."""


@dataclass(frozen=True)
class Window:
    """What may be on its way at once.

    Attributes:
        frames: not yet acknowledged.
        bytes: of their messages.
        at_once: frames that are prepared side by side.
        heartbeat_seconds: of silence, after which either side says that it is there.
    """

    frames: int = 32
    bytes: int = 32 * 2**20
    at_once: int = 4
    heartbeat_seconds: float = 20.0
