"""Between the codec's words and the messages of ``codec.proto``. Not for the worker."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage

from manypath.codec import Codec, StreamInfo
from manypath.errors import PathError
from manypath.path import Path, check_task_share
from manypath_api.v1 import codec_pb2 as pb
from services.common.errors import ReplySizeError

Image = npt.NDArray[np.uint8]

PATHS: Mapping[int, Path] = {
    pb.PATH_UNSPECIFIED: Path.PERCEPTUAL,
    pb.PATH_PERCEPTUAL: Path.PERCEPTUAL,
    pb.PATH_MSE: Path.MSE,
    pb.PATH_CLASSIFICATION: Path.CLASSIFICATION,
    pb.PATH_SEGMENTATION: Path.SEGMENTATION,
}
_NUMBERS: Mapping[Path, pb.Path] = {
    Path.PERCEPTUAL: pb.PATH_PERCEPTUAL,
    Path.MSE: pb.PATH_MSE,
    Path.CLASSIFICATION: pb.PATH_CLASSIFICATION,
    Path.SEGMENTATION: pb.PATH_SEGMENTATION,
}


class Route(NamedTuple):
    """Which path was asked for, and which one serves.

    Attributes:
        asked: by the caller.
        used: ``asked`` where the model has a trained side for it, else the main path.
        task_share: of tokens on the side path, 0..1; 0 on the main path.
    """

    asked: Path
    used: Path
    task_share: float

    def message(self) -> pb.Route:
        """Return it as the proto has it."""
        return pb.Route(
            asked=_NUMBERS[self.asked],
            used=_NUMBERS[self.used],
            fallback=self.asked is not self.used,
            task_share=self.task_share,
        )


def choose_route(codec: Codec, asked: Path, task_share: float) -> Route:
    """Return what serves a request for ``asked``.

    Raises:
        PathError: the share is not in 0..1.
    """
    share = check_task_share(task_share)
    if asked is Path.PERCEPTUAL or not codec.serves(asked):
        return Route(asked, Path.PERCEPTUAL, 0.0)
    return Route(asked, asked, share)


def picture_route(codec: Codec, request: pb.PathRequest) -> Route:
    """Return what serves a request for a picture.

    Raises:
        PathError: no such path, or the share is not in 0..1.
    """
    asked = PATHS.get(request.path)
    if asked is None:
        raise PathError(f"path must be one of {', '.join(pb.Path.keys())}; got {request.path}")
    return choose_route(codec, asked, request.task_share if request.HasField("task_share") else 1.0)


def path_numbers(paths: Iterable[Path]) -> list[pb.Path]:
    """Return paths as the proto has them, in its order."""
    return sorted((_NUMBERS[path] for path in paths), key=int)


def facts_message(info: StreamInfo) -> pb.BitstreamFacts:
    """Return what a header says."""
    return pb.BitstreamFacts(
        version=info.version,
        width=info.width,
        height=info.height,
        quality=info.quality,
        bytes=info.bytes,
        bpp=info.bpp,
        model_digest=info.model_digest,
        bands=info.bands,
    )


def timing_messages(seconds: Mapping[str, float]) -> list[pb.StageTiming]:
    """Return the seconds of each stage, in the order in which they began."""
    return [pb.StageTiming(stage=stage, seconds=spent) for stage, spent in seconds.items()]


def picture_message(image: Image, picture_format: int) -> pb.Picture:
    """Return a picture as the caller wants it: a PNG file unless raw was asked for."""
    if picture_format == pb.PICTURE_FORMAT_RAW:
        height, width = image.shape[:2]
        return pb.Picture(raw=pb.RawPicture(width=width, height=height, data=image.tobytes()))
    file = io.BytesIO()
    # level 1 takes a fifth of the default's time for a few percent more bytes
    PillowImage.fromarray(image).save(file, "PNG", compress_level=1)
    return pb.Picture(file=file.getvalue())


def check_reply_size(size: int, limit: int) -> None:
    """Refuse an answer that no message can carry.

    Raises:
        ReplySizeError: ``size`` bytes are more than ``limit``.
    """
    if size > limit:
        raise ReplySizeError(
            f"the pictures of this answer take {size} bytes, a message holds {limit}; "
            "ask for fewer pictures at a time, or for PNG instead of raw"
        )
