"""What the encoder computes: pictures that came together share the networks' passes."""

from __future__ import annotations

import time
from collections.abc import Hashable, Sequence
from typing import NamedTuple

from manypath import Codec, RequestError, StageTimings, StreamInfo, inspect
from manypath import Rate as CodecRate
from manypath_api.v1 import codec_pb2 as pb
from manypath_pictures.errors import PictureError
from manypath_pictures.reader import Samples, Size
from manypath_services.codec.batching import padded
from manypath_services.common.lane import check_waited
from manypath_services.encoder.pictures import read_picture
from manypath_services.encoder.rate import Rate


class Order(NamedTuple):
    """One picture to encode."""

    picture: pb.Picture
    rate: Rate


class Encoded(NamedTuple):
    """What became of it.

    Attributes:
        bitstream: whole.
        info: of its header.
        seconds: of each stage; where several were encoded together, this one's share.
    """

    bitstream: bytes
    info: StreamInfo
    seconds: dict[str, float]


def batch_key(size: Size, rate: Rate) -> Hashable | None:
    """Return what pictures must have in common to be encoded together; None for one whose work is its own."""
    return None if rate.is_budget or rate.effort else (*padded(size.width, size.height), rate.quality)


def encode_together(codec: Codec, orders: Sequence[Order], max_pixels: int) -> list[Encoded | Exception]:
    """Encode pictures of one rate.

    Args:
        codec: of this thread.
        orders: of one ``batch_key``.
        max_pixels: largest picture.

    Returns:
        For each its bitstream, or the error that it alone has.
    """
    results: dict[int, Encoded | Exception] = {}
    images: dict[int, Samples] = {}
    seconds: dict[int, float] = {}
    for number, order in enumerate(orders):
        check_waited()
        begun = time.perf_counter()
        try:
            image = read_picture(order.picture, max_pixels)
            order.rate.check_pixels(image.shape[0] * image.shape[1])
        except (PictureError, RequestError) as err:
            results[number] = err
            continue
        images[number] = image
        seconds[number] = time.perf_counter() - begun
    if images:
        timings = StageTimings()
        asked = orders[0].rate
        allowed = CodecRate(quality=asked.quality, max_bytes=asked.max_bytes, bpp=asked.target_bpp, effort=asked.effort)
        streams = codec.encode_batch(list(images.values()), allowed, timings=timings)
        shares = {stage: spent / len(streams) for stage, spent in timings.seconds.items()}
        for number, stream in zip(images, streams, strict=True):
            results[number] = Encoded(stream, inspect(stream), {"picture_decode": seconds[number], **shares})
    return [results[number] for number in range(len(orders))]
