"""RTSP, MJPEG, video files, V4L2 devices and FFmpeg's test sources, by PyAV."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from manypath_camera.errors import SourceError
from manypath_camera.frames import Captured
from manypath_camera.sources.source import without_password

if TYPE_CHECKING:
    from av.container import InputContainer

# A JPEG of a video file may leave its Huffman tables out; then it is decoded here, which knows the usual ones.
_JPEG_START, _HUFFMAN_TABLES = b"\xff\xd8", b"\xff\xc4"
_MUTE = threading.Lock()


class VideoSource:
    """A stream of pictures. MJPEG passes as its camera made it; of other codecs, frames are decoded.

    Args:
        url: as FFmpeg takes it.
        form: FFmpeg's name of the format, where the address does not tell.
        timeout_seconds: of silence. FFmpeg is told so, and is known to hang nevertheless: the supervisor's watchdog is
            there for that.
        key_frames: decode only pictures that need no other: sharper, and a tenth of the work.
        real_time: of a file: its frames come at the times that they were made at, and it begins again at its end.
    """

    def __init__(
        self, url: str, *, form: str | None, timeout_seconds: float, key_frames: bool, real_time: bool = False
    ) -> None:
        self.lossless = False
        self._url = url
        self._form = form
        self._timeout_seconds = timeout_seconds
        self._key_frames = key_frames
        self._real_time = real_time

    def frames(self, ended: threading.Event) -> Iterator[Captured]:
        """See ``Source``."""
        import av

        with _MUTE:
            av.logging.set_level(None)  # its log has deadlocked with Python's threads
        try:
            with av.open(
                self._url,
                format=self._form,
                options=self._options(),
                timeout=(self._timeout_seconds, self._timeout_seconds),
            ) as container:
                yield from self._read(container, ended)
        except av.FFmpegError as err:
            raise SourceError(f"{without_password(self._url)}: {_reason(err)}") from err
        except (OSError, ValueError) as err:
            raise SourceError(f"{without_password(self._url)}: {err}") from err

    def _options(self) -> dict[str, str]:
        microseconds = str(int(self._timeout_seconds * 1e6))
        if self._url.startswith("rtsp"):
            return {
                "rtsp_transport": "tcp",
                "timeout": microseconds,
                "fflags": "nobuffer",
                # the first frame after 1 s instead of 3: cameras say in their description what they send
                "analyzeduration": "500000",
                "probesize": "200000",
            }
        if self._url.startswith("http"):
            return {"timeout": microseconds, "rw_timeout": microseconds, "fflags": "nobuffer"}
        return {}

    def _read(self, container: InputContainer, ended: threading.Event) -> Iterator[Captured]:
        if not container.streams.video:
            raise SourceError(f"{without_password(self._url)} has no pictures, only other streams")
        stream = container.streams.video[0]
        context: Any = stream.codec_context
        motion_jpeg = context.name == "mjpeg"
        if self._key_frames and not motion_jpeg and self._form not in {"lavfi", "v4l2"}:
            context.skip_frame = "NONKEY"
        begun = time.monotonic()
        first: float | None = None
        for packet in container.demux(stream):
            if ended.is_set():
                return
            seconds = None if packet.pts is None or packet.time_base is None else float(packet.pts * packet.time_base)
            if self._real_time and seconds is not None:
                first = seconds if first is None else first
                if ended.wait(max(0.0, begun + seconds - first - time.monotonic())):
                    return
            content = bytes(packet) if motion_jpeg else b""
            if content.startswith(_JPEG_START) and _HUFFMAN_TABLES in content[:4096]:
                yield Captured(content, source_seconds=seconds)
                continue
            for frame in packet.decode():
                shown: Any = frame
                yield Captured(shown.to_ndarray(format="rgb24"), source_seconds=frame.time)
        if not self._real_time:
            raise SourceError(f"{without_password(self._url)} ended")


def _reason(err: Exception) -> str:
    """Return what FFmpeg says, without its own repeating of the address, which may hold a password."""
    text = getattr(err, "strerror", None) or str(err)
    kind = type(err).__name__
    cure = "; is the name and password in the address right?" if "Unauthorized" in kind else ""
    return f"{text} ({kind}){cure}"
