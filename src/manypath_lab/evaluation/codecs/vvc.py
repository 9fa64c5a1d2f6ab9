"""VVC as a baseline: vvenc, medium preset, 4:2:0, 10 bit, in the ffmpeg that imageio-ffmpeg carries."""

from __future__ import annotations

import functools
import re
import struct
import subprocess
from typing import ClassVar

import numpy as np

from manypath_lab.evaluation.codecs.codec import Baseline, BaselineError
from manypath_lab.evaluation.pictures import Pixels

# Chroma is resampled by Lanczos both ways: with ffmpeg's default, bicubic, RGB PSNR falls by up to 0.6 dB.
_SCALER = "flags=lanczos+accurate_rnd+full_chroma_int+full_chroma_inp"
_TO_YUV = f"scale=out_color_matrix=bt709:out_range=tv:{_SCALER}"
_TO_RGB = f"scale=in_color_matrix=bt709:in_range=tv:{_SCALER}"
_SIZE = struct.Struct("<HH")  # width and height, which the padded stream itself does not tell


@functools.cache
def ffmpeg_executable() -> str:
    """Return the path of the bundled ffmpeg.

    Raises:
        BaselineError: The package imageio-ffmpeg, or the vvenc encoder in it, is missing.
    """
    try:
        import imageio_ffmpeg
    except ImportError as err:
        raise BaselineError("VVC needs imageio-ffmpeg; install the extra 'lab'") from err
    executable = str(imageio_ffmpeg.get_ffmpeg_exe())
    if "libvvenc" not in _ask(executable, "-encoders"):
        raise BaselineError(f"{executable} has no libvvenc encoder; use the ffmpeg of imageio-ffmpeg >= 0.8")
    return executable


def _ask(executable: str, question: str) -> str:
    command = [executable, "-hide_banner", question]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def _run(arguments: list[str], data: bytes) -> bytes:
    command = [ffmpeg_executable(), "-hide_banner", "-loglevel", "error", *arguments]
    done = subprocess.run(command, input=data, capture_output=True, check=False)
    if done.returncode != 0:
        message = done.stderr.decode(errors="replace")[-400:]
        raise BaselineError(f"ffmpeg failed with status {done.returncode}: {message}")
    return done.stdout


class Vvc(Baseline):
    """One VVC intra picture, without perceptual QP adaptation (it costs time and wins no PSNR).

    A picture is padded to even sides, as 4:2:0 needs; four bytes for its true size are part of the rate.
    """

    name = "vvc"
    label = "VVC (vvenc medium)"
    # The four QPs of the JVET common test conditions, and one below for low rates.
    qualities: ClassVar[tuple[int, ...]] = (42, 37, 32, 27, 22)

    def __init__(self, *, threads: int = 1) -> None:
        self._threads = threads

    @functools.cached_property
    def version(self) -> str:
        """The vvenc that ffmpeg was built with."""
        match = re.match(r"ffmpeg version (\S+)", _ask(ffmpeg_executable(), "-version"))
        return f"libvvenc in ffmpeg {match.group(1) if match else 'unknown'}"

    def settings(self, quality: int) -> str:
        """Return QP and encoder options as text."""
        return f"qp={quality} preset=medium qpa=0 yuv420p10 bt709 lanczos"

    def encode(self, pixels: Pixels, quality: int) -> bytes:
        """Return width, height and the VVC stream of a uint8 [H, W, 3] RGB picture."""
        height, width, _ = pixels.shape
        even = np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        size = f"{even.shape[1]}x{even.shape[0]}"
        source = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", size, "-i", "pipe:", "-vf", _TO_YUV]
        coding = ["-pix_fmt", "yuv420p10le", "-c:v", "libvvenc", "-preset", "medium"]
        knobs = ["-qp", str(quality), "-qpa", "0", "-threads", str(self._threads)]
        stream = _run([*source, *coding, *knobs, "-f", "vvc", "pipe:"], even.tobytes())
        return _SIZE.pack(width, height) + stream

    def decode(self, data: bytes) -> Pixels:
        """Return the uint8 [H, W, 3] RGB picture in ``data``."""
        width, height = _SIZE.unpack_from(data)
        even_width, even_height = width + width % 2, height + height % 2
        source = ["-threads", str(self._threads), "-f", "vvc", "-i", "pipe:", "-vf", _TO_RGB]
        raw = _run([*source, "-pix_fmt", "rgb24", "-f", "rawvideo", "pipe:"], data[_SIZE.size :])
        if len(raw) != even_width * even_height * 3:
            raise BaselineError(f"VVC decoded to {len(raw)} bytes, not {even_width}x{even_height} RGB pixels")
        return np.frombuffer(raw, np.uint8).reshape(even_height, even_width, 3)[:height, :width]
