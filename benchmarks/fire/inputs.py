"""Pictures, bitstreams and messages that attackers and ordinary callers send."""

from __future__ import annotations

import io
from functools import cache
from typing import Any

import grpc
import numpy as np
import numpy.typing as npt
from PIL import Image

from manypath.bitstream import Bitstream, pack
from manypath.geometry import strip_heights
from manypath_api.v1 import codec_pb2 as pb
from manypath_services.common.client import channel_options, open_blocking_channel


@cache
def photo(height: int, width: int) -> npt.NDArray[np.uint8]:
    """Return a picture with something in it, uint8 [H, W, 3]."""
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    waves = 127 + 60 * np.sin(rows / 9) + 60 * np.cos(columns / 13)
    noise = np.random.default_rng(7).normal(0, 6, (height, width)).astype(np.float32)
    samples = [np.clip(waves * share + noise, 0, 255).astype(np.uint8) for share in (1.0, 0.8, 0.6)]
    return np.stack(samples, axis=-1)


@cache
def jpeg(height: int, width: int) -> bytes:
    """Return that picture as a JPEG file."""
    file = io.BytesIO()
    Image.fromarray(photo(height, width)).save(file, "JPEG", quality=90)
    return file.getvalue()


def raw(height: int, width: int) -> pb.Picture:
    """Return that picture as raw samples."""
    return pb.Picture(raw=pb.RawPicture(width=width, height=height, data=photo(height, width).tobytes()))


def empty_parts(tag: int, size: int) -> bytes:
    """Return a message of nothing but empty parts of one field."""
    return bytes((tag, 0)) * (size // 2)


def webp_of_38_bytes(width: int = 16383, height: int = 4096) -> bytes:
    """Return a WebP file that claims a size and has next to no data."""
    sides = ((width - 1) | (height - 1) << 14).to_bytes(4, "little")
    return b"RIFF\x1e\x00\x00\x00WEBPVP8L\x11\x00\x00\x00\x2f" + sides + bytes(13)


def jpeg_of_scans(scans: int, height: int = 2048, width: int = 2048) -> bytes:
    """Return a progressive JPEG of one colour, whose last scan of some bytes comes many times."""
    file = io.BytesIO()
    Image.new("RGB", (width, height), (90, 120, 200)).save(file, "JPEG", quality=50, progressive=True)
    data = file.getvalue()
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * scans + data[-2:]


def stream_that_claims(width: int, height: int, digest: str) -> bytes:
    """Return a bitstream of a size, with sound checksums and no content."""
    strips = tuple((bytes(20_000), bytes(15_000)) for _ in strip_heights(width, height))
    return pack(Bitstream(width, height, 96, bytes.fromhex(digest), 0, strips))


def raw_call(channel: grpc.Channel, service: str, method: str) -> Any:
    """Return a call of bytes, which may be no message."""
    return channel.unary_unary(f"/{service}/{method}", request_serializer=bytes, response_deserializer=bytes)


def channel_to(target: str, service: str, *, retries: bool = False) -> grpc.Channel:
    """Open a channel by the project's own policy, without retries unless they are wanted."""
    options = [*channel_options(service), ("grpc.enable_retries", int(retries)), ("grpc.use_local_subchannel_pool", 1)]
    return open_blocking_channel(target, options)


def ending(call: Any, *arguments: Any, **options: Any) -> tuple[str, str]:
    """Call, and return the name of the status and its details."""
    try:
        call(*arguments, **options)
    except grpc.RpcError as err:
        return err.code().name, err.details() or ""
    return "OK", ""
