"""VVC as a baseline: vvenc, medium preset, one intra picture, 4:2:0, 10 bit, in an ffmpeg that was built with it."""

from __future__ import annotations

import functools
import importlib
import io
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import ClassVar

import numpy as np
from PIL import Image

from manypath_lab.evaluation.codecs.codec import Baseline, BaselineError
from manypath_lab.evaluation.pictures import Pixels

VARIABLE = "MANYPATH_FFMPEG"
_CURE = (
    f"install imageio-ffmpeg >= 0.8 (the extra 'lab' has it), or set {VARIABLE} to an ffmpeg >= 7.1 that was built "
    "with libvvenc and libzimg"
)
_TIMEOUT_SECONDS = 1800.0  # a large picture takes minutes; a hang becomes an error
# zimg resamples chroma by Lanczos both ways: 4:2:0 alone then leaves 48 dB of a photo, and with swscale 0.3 dB less.
_SCALER = "filter=lanczos:dither=none"
_TO_YUV = f"zscale=matrix=170m:range=full:{_SCALER}"
_TO_RGB = f"zscale=matrixin=170m:rangein=full:matrix=gbr:range=full:{_SCALER},format=gbrp"
# A stream of pictures on their own has short parameter sets and needs no delimiters between them; without the offset
# the QP that is asked for is the coded one.
_INTRA = "intraperiod=1:gopsize=1:intraqpoffset=0:accessunitdelimiter=0"


class Vvc(Baseline):
    """One VVC intra picture, BT.601 in full range, without perceptual QP adaptation, which wins no PSNR.

    The rate is the whole raw stream, parameter sets included. vvenc codes 4:2:0 alone, which needs even sides: a
    picture with an odd side is padded, and one byte ahead of its stream says what to cut off.
    """

    name = "vvc"
    label = "VVC (vvenc medium)"
    # The four QPs of the JVET common test conditions, and two more at either end.
    qualities: ClassVar[tuple[int, ...]] = (47, 42, 37, 32, 27, 22, 17, 12)

    def __init__(self, *, threads: int = 1) -> None:
        """Look for an ffmpeg.

        Raises:
            BaselineError: there is none that can.
        """
        self._threads = threads
        self._executable = find_ffmpeg()

    @property
    def version(self) -> str:
        """The vvenc, and the ffmpeg that was built with it."""
        return probe(self._executable)

    def settings(self, quality: int) -> str:
        """Return QP and encoder options as text."""
        return f"qp={quality} preset=medium qpa=0 {_INTRA} yuv420p10 bt601 full zimg {_SCALER}"

    def encode(self, pixels: Pixels, quality: int) -> bytes:
        """Return the VVC stream of a uint8 [H, W, 3] RGB picture, with one byte ahead where a side is odd.

        Raises:
            BaselineError: ffmpeg failed.
        """
        height, width, _ = pixels.shape
        cut = width % 2 + 2 * (height % 2)
        even = np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        stream, _ = _run(
            self._executable, _encoding(even.shape[1], even.shape[0], quality, self._threads), even.tobytes()
        )
        return bytes([cut] if cut else []) + stream

    def decode(self, data: bytes) -> Pixels:
        """Return the uint8 [H, W, 3] RGB picture in ``data``.

        Raises:
            BaselineError: ffmpeg failed.
        """
        cut = data[0]  # a stream itself begins with zero
        stream = data[1:] if cut else data
        file, _ = _run(self._executable, _decoding(self._threads), stream)
        with Image.open(io.BytesIO(file)) as opened:
            even = np.asarray(opened.convert("RGB"))
        height, width, _ = even.shape
        return even[: height - cut // 2, : width - cut % 2]


def find_ffmpeg() -> str:
    """Return the ffmpeg that `$MANYPATH_FFMPEG` names, else the path's or imageio-ffmpeg's, the first that codes VVC.

    Raises:
        BaselineError: none codes VVC; the message says what each answered, and the cure.
    """
    configured = os.environ.get(VARIABLE)
    complaints = []
    for executable in [configured] if configured else _candidates():
        try:
            probe(executable)
        except BaselineError as err:
            complaints.append(f"{executable}: {err}")
        else:
            return executable
    found = "; ".join(complaints) or "none, for there is none"
    raise BaselineError(f"VVC needs an ffmpeg that codes it: {_CURE}. Tried: {found}")


def _candidates() -> Iterator[str]:
    on_path = shutil.which("ffmpeg")
    if on_path:
        yield on_path
    try:
        yield str(importlib.import_module("imageio_ffmpeg").get_ffmpeg_exe())
    except (ImportError, RuntimeError):  # not installed; installed, and without an ffmpeg for this machine
        return


@functools.cache
def probe(executable: str) -> str:
    """Return which vvenc and ffmpeg code a small picture and decode it.

    Args:
        executable: an ffmpeg.

    Raises:
        BaselineError: it does not.
    """
    size, black = 64, bytes(64 * 64 * 3)
    stream, _ = _run(executable, _encoding(size, size, 32, 1), black)
    _run(executable, _decoding(1), stream)
    _, told = _run(executable, _encoding(size, size, 32, 1), black, log="verbose")  # vvenc writes into the stream then
    version, _ = _run(executable, ["-version"])
    return f"libvvenc {read_version(told, 'libvvenc')} in ffmpeg {read_version(version.decode(), 'ffmpeg')}"


def read_version(text: str, name: str) -> str:
    """Return what follows "``name`` version" in what ffmpeg says, or "unknown"."""
    match = re.search(rf"\b{re.escape(name)} version:? (\S+)", text)
    return match.group(1) if match else "unknown"


def _encoding(width: int, height: int, quality: int, threads: int) -> list[str]:
    source = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-i", "pipe:", "-vf", _TO_YUV]
    coding = ["-pix_fmt", "yuv420p10le", "-c:v", "libvvenc", "-preset", "medium", "-vvenc-params", _INTRA]
    return [*source, *coding, "-qp", str(quality), "-qpa", "0", "-threads", str(threads), "-f", "vvc", "pipe:"]


def _decoding(threads: int) -> list[str]:
    source = ["-threads", str(threads), "-f", "vvc", "-i", "pipe:", "-vf", _TO_RGB]
    return [*source, "-c:v", "ppm", "-f", "image2pipe", "pipe:"]


def _run(executable: str, arguments: list[str], data: bytes = b"", *, log: str = "error") -> tuple[bytes, str]:
    """Return what ffmpeg writes, and what it says.

    Raises:
        BaselineError: it did not start, failed, wrote nothing or hung.
    """
    command = [executable, "-hide_banner", "-loglevel", log, "-filter_threads", "1", *arguments]
    try:
        done = subprocess.run(command, input=data, capture_output=True, check=False, timeout=_TIMEOUT_SECONDS)
    except OSError as err:
        raise BaselineError(f"it does not start: {err}") from err
    except subprocess.TimeoutExpired as err:
        raise BaselineError(f"ffmpeg did not end within {_TIMEOUT_SECONDS:.0f} seconds") from err
    said = done.stderr.decode(errors="replace")
    if done.returncode != 0 or not done.stdout:
        raise BaselineError(f"ffmpeg failed with status {done.returncode}: {said[-400:].strip()}")
    return done.stdout, said
