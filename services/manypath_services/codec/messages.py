"""Between the codec's words and the messages of ``codec.proto``. Not for the worker."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from manypath import Codec, DecodePath, PathError, RequestError, StreamInfo
from manypath_api.v1 import codec_pb2 as pb
from manypath_pictures.writer import FAST, write_png
from manypath_services.common.errors import ReplySizeError

Image = npt.NDArray[np.uint8]

_NAMES: Mapping[int, str] = {
    pb.PATH_UNSPECIFIED: DecodePath.DEFAULT.value,
    pb.PATH_PERCEPTUAL: DecodePath.PERCEPTUAL.value,
    pb.PATH_MSE: DecodePath.MSE.value,
    pb.PATH_CLASSIFICATION: DecodePath.CLASSIFICATION.value,
    pb.PATH_SEGMENTATION: DecodePath.SEGMENTATION.value,
    pb.PATH_DETECTION: DecodePath.DETECTION.value,
}
_NUMBERS: Mapping[str, pb.Path] = {
    DecodePath.PERCEPTUAL.value: pb.PATH_PERCEPTUAL,
    DecodePath.MSE.value: pb.PATH_MSE,
    DecodePath.CLASSIFICATION.value: pb.PATH_CLASSIFICATION,
    DecodePath.SEGMENTATION.value: pb.PATH_SEGMENTATION,
    DecodePath.DETECTION.value: pb.PATH_DETECTION,
}
_MAIN = (DecodePath.MSE.value, 0.0)  # the main path in any model: without tokens no side takes part


class Route(NamedTuple):
    """Which path was asked for, and which one serves.

    Attributes:
        asked: by the caller, by name.
        used: ``asked`` where the model serves it, else the main path.
        task_share: of tokens on the side path, 0..1; 0 on the main path.
    """

    asked: str
    used: str
    task_share: float

    @property
    def decoded(self) -> tuple[str, float]:
        """What the codec is asked for: a side path without tokens is the main path."""
        return (self.used, self.task_share) if self.task_share else _MAIN

    def message(self) -> pb.Route:
        """Return it as the proto has it."""
        return pb.Route(
            asked=_NUMBERS.get(self.asked, pb.PATH_UNSPECIFIED),
            used=_NUMBERS.get(self.used, pb.PATH_UNSPECIFIED),
            fallback=self.asked != self.used,
            task_share=self.task_share,
            asked_name=self.asked,
            used_name=self.used,
        )


def picture_route(codec: Codec, request: pb.PathRequest) -> Route:
    """Return what serves a request for a picture.

    Raises:
        PathError: no such path, two different ones, or the share is not in 0..1.
    """
    asked = _NAMES.get(request.path)
    if asked is None:
        raise PathError(f"path must be one of {', '.join(pb.Path.keys())}; got {request.path}")
    name = request.path_name
    if name:
        if request.path != pb.PATH_UNSPECIFIED and name != asked:
            raise PathError(f"path is {pb.Path.Name(request.path)} and path_name {name[:40]!r}; give one of them")
        asked = name
    return Route(asked, *codec.resolve(asked, _share(request)))


def task_route(codec: Codec, task: str, request: pb.TaskRequest) -> Route:
    """Return what serves a task: the path that the request names, or that is called as the task is, or the main path.

    Raises:
        PathError: the path named is none, or the share is not in 0..1.
    """
    path = request.path_name or (task if codec.serves(task) else codec.main_path)
    return Route(request.path_name or task, *codec.resolve(path, _share(request)))


def _share(request: pb.PathRequest | pb.TaskRequest) -> float:
    return request.task_share if request.HasField("task_share") else 1.0


def path_numbers(names: Iterable[str]) -> list[pb.Path]:
    """Return those paths that the proto has numbers for, in its order."""
    return sorted((_NUMBERS[name] for name in names if name in _NUMBERS), key=int)


def path_names(names: Iterable[str]) -> list[str]:
    """Return paths in the proto's order, users' own behind them."""
    return sorted(names, key=lambda name: (_NUMBERS.get(name, len(_NUMBERS) + 1), name))


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
        bands=info.strips,
    )


def timing_messages(seconds: Mapping[str, float]) -> list[pb.StageTiming]:
    """Return the seconds of each stage, in the order in which they began."""
    return [pb.StageTiming(stage=stage, seconds=spent) for stage, spent in seconds.items()]


def check_picture_format(picture_format: int) -> int:
    """Return a format that there is, as a path's number is checked.

    Raises:
        RequestError: there is none of this number; a caller newer than this server may know more.
    """
    if picture_format not in pb.PictureFormat.values():
        raise RequestError(f"picture_format must be one of {', '.join(pb.PictureFormat.keys())}; got {picture_format}")
    return picture_format


def picture_message(image: Image, picture_format: int) -> pb.Picture:
    """Return a picture as the caller wants it: a PNG file unless raw was asked for."""
    if picture_format == pb.PICTURE_FORMAT_RAW:
        height, width = image.shape[:2]
        return pb.Picture(raw=pb.RawPicture(width=width, height=height, data=image.tobytes()))
    return pb.Picture(file=png_file(image))


def png_file(samples: Image) -> bytes:
    """Return uint8 [H, W, 3], or [H, W] for grey, as a PNG file."""
    return write_png(samples, level=FAST)


def score_map_files(scores: Iterable[npt.NDArray[np.float32]]) -> list[bytes]:
    """Return maps of 0..1 as grey PNG files."""
    return [png_file(np.rint(255 * score).astype(np.uint8)) for score in scores]


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
