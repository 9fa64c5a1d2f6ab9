"""What the decoder computes: bitstreams that came together and want the same share the networks' passes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Hashable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from manypath import Codec, Reconstruction, StageTimings, StreamInfo, inspect
from manypath_api.v1 import codec_pb2 as pb
from manypath_services.codec.batching import padded
from manypath_services.codec.messages import Route, picture_message, score_map_files
from manypath_services.common.lane import check_waited

Image = npt.NDArray[np.uint8]
_QUICK_BYTES = 2**20  # of a stream, whose checksum takes a millisecond
_Decoded = Mapping[tuple[str, float], Reconstruction]


class Wanted(NamedTuple):
    """Routes of one request: pictures to send back, then pictures for workers."""

    pictures: list[Route]
    tasks: list[Route]
    picture_format: int
    score_maps: list[bool]  # of each picture

    @property
    def different(self) -> list[tuple[str, float]]:
        """What is decoded: the same route twice only once, as a fallback for a task is what a person sees."""
        return list(dict.fromkeys(route.decoded for route in (*self.pictures, *self.tasks)))


class Order(NamedTuple):
    """One bitstream to decode, and what it says of itself."""

    bitstream: bytes
    info: StreamInfo
    wanted: Wanted


class Decoded(NamedTuple):
    """What became of it.

    Attributes:
        pictures: as messages.
        task_images: of the tasks, uint8 [H, W, 3].
        info: of its header.
        seconds: of each stage; where several were decoded together, this one's share.
    """

    pictures: list[pb.DecodedPicture]
    task_images: list[Image]
    info: StreamInfo
    seconds: dict[str, float]


async def read_facts(bitstream: bytes) -> StreamInfo:
    """Return what a bitstream says of itself; a large one is summed up in a thread: the event loop has no time.

    Raises:
        BitstreamError: it is none.
    """
    return inspect(bitstream) if len(bitstream) < _QUICK_BYTES else await asyncio.to_thread(inspect, bitstream)


def batch_key(info: StreamInfo, wanted: Wanted) -> Hashable | None:
    """Return what bitstreams must have in common to be decoded together; None for several paths or score maps."""
    different = wanted.different
    if len(different) != 1 or any(wanted.score_maps):
        return None
    return (*padded(info.width, info.height), info.quality, different[0])


def decode_together(codec: Codec, orders: Sequence[Order]) -> list[Decoded]:
    """Decode bitstreams that want the same.

    Args:
        codec: of this thread.
        orders: of one ``batch_key``.
    """
    timings = StageTimings()
    first = orders[0].wanted
    if len(orders) == 1:
        scores = any(first.score_maps)
        made = codec.reconstruct(orders[0].bitstream, first.different, scores=scores, timings=timings)
        decoded: list[_Decoded] = [dict(zip(first.different, made, strict=True))]
    else:
        ((path, share),) = first.different
        streams = [order.bitstream for order in orders]
        images = codec.decode_batch(streams, path=path, task_share=share, timings=timings)
        decoded = [{(path, share): Reconstruction(image)} for image in images]
    shares = {stage: spent / len(orders) for stage, spent in timings.seconds.items()}
    return [_answer(order, own, shares) for order, own in zip(orders, decoded, strict=True)]


def _answer(order: Order, decoded: _Decoded, shares: Mapping[str, float]) -> Decoded:
    wanted = order.wanted
    begun = time.perf_counter()
    pictures = []
    for route, score_maps in zip(wanted.pictures, wanted.score_maps, strict=True):
        check_waited()
        made = decoded[route.decoded]
        pictures.append(
            pb.DecodedPicture(
                picture=picture_message(made.image, wanted.picture_format),
                route=route.message(),
                score_maps=score_map_files(made.scores) if score_maps else (),
            )
        )
    seconds = {"queue": 0.0, **shares}
    if pictures:
        seconds["picture_encode"] = time.perf_counter() - begun
    task_images = [decoded[route.decoded].image for route in wanted.tasks]
    return Decoded(pictures, task_images, order.info, seconds)
