"""Baselines that Pillow, or one of its plugins, reads and writes: JPEG, WebP, AVIF, JPEG XL."""

from __future__ import annotations

import importlib
import importlib.metadata
import io
from typing import Any, ClassVar

import numpy as np
from PIL import Image, features

from manypath_lab.evaluation.codecs.codec import Baseline, BaselineError
from manypath_lab.evaluation.pictures import Pixels


class PillowBaseline(Baseline):
    """A codec that Pillow (or one of its plugins) reads and writes.

    Attributes:
        file_format: Pillow's name of the format.
        options: Save options beside the quality.
        library: inside Pillow: Pillow's name of the feature, the library's own.
    """

    file_format: ClassVar[str]
    options: ClassVar[dict[str, Any]]
    library: ClassVar[tuple[str, str]]

    def __init__(self, *, threads: int = 1) -> None:
        self._threads = threads

    @property
    def version(self) -> str:
        """The library that codes, and its version."""
        feature, name = self.library
        version = features.version(feature)
        if version is None:
            raise BaselineError(f"this Pillow has no {name}; install a Pillow wheel built with it")
        return f"{name} {version}"

    def settings(self, quality: int) -> str:
        """Return quality and save options as text."""
        fixed = " ".join(f"{key}={value}" for key, value in sorted(self.options.items()))
        return f"quality={quality} {fixed}"

    def thread_options(self) -> dict[str, Any]:
        """Return the save options that set the number of threads."""
        return {}

    def encode(self, pixels: Pixels, quality: int) -> bytes:
        """Return the compressed file of a uint8 [H, W, 3] RGB picture."""
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, self.file_format, quality=quality, **self.options, **self.thread_options())
        return buffer.getvalue()

    def decode(self, data: bytes) -> Pixels:
        """Return the uint8 [H, W, 3] RGB picture in ``data``."""
        with Image.open(io.BytesIO(data)) as opened:
            return np.asarray(opened.convert("RGB"))


class Jpeg(PillowBaseline):
    """JPEG, 4:2:0, with optimised Huffman tables."""

    name = "jpeg"
    label = "JPEG"
    qualities = (4, 6, 8, 12, 18, 26, 38, 52, 66, 78, 86, 91)
    file_format = "JPEG"
    options: ClassVar[dict[str, Any]] = {"optimize": True, "subsampling": "4:2:0"}
    library = ("libjpeg_turbo", "libjpeg-turbo")


class WebP(PillowBaseline):
    """WebP, lossy, at its slowest and best method."""

    name = "webp"
    label = "WebP"
    qualities = (0, 3, 8, 15, 25, 38, 52, 66, 76, 84, 90)
    file_format = "WEBP"
    options: ClassVar[dict[str, Any]] = {"method": 6}
    library = ("webp", "libwebp")


class Avif(PillowBaseline):
    """AVIF at speed 6 with Pillow's defaults (libaom, tuned for SSIM)."""

    name = "avif"
    label = "AVIF"
    qualities = (5, 10, 16, 22, 30, 38, 46, 55, 64, 72, 80)
    file_format = "AVIF"
    options: ClassVar[dict[str, Any]] = {"speed": 6}
    library = ("avif", "libavif")

    def thread_options(self) -> dict[str, Any]:
        """Return the save options that set the number of threads."""
        return {"max_threads": self._threads}


class AvifPsnr(Avif):
    """AVIF at speed 6, tuned for PSNR: a few percent fewer bytes at the same PSNR."""

    name = "avif-psnr"
    label = "AVIF (tune PSNR)"
    options: ClassVar[dict[str, Any]] = {"speed": 6, "advanced": {"tune": "psnr"}}


class JpegXL(PillowBaseline):
    """JPEG XL at effort 7, through pillow-jxl-plugin."""

    name = "jxl"
    label = "JPEG XL"
    qualities = (3, 8, 15, 22, 28, 40, 52, 62, 72, 80, 87)
    file_format = "JXL"
    options: ClassVar[dict[str, Any]] = {"effort": 7}

    def __init__(self, *, threads: int = 1) -> None:
        super().__init__(threads=threads)
        try:
            importlib.import_module("pillow_jxl")
        except ImportError as err:
            raise BaselineError("JPEG XL needs pillow-jxl-plugin; install the extra 'lab'") from err

    @property
    def version(self) -> str:
        """The plugin that carries libjxl."""
        return f"pillow-jxl-plugin {importlib.metadata.version('pillow-jxl-plugin')}"

    def thread_options(self) -> dict[str, Any]:
        """Return the save options that set the number of threads."""
        return {"num_threads": self._threads}
