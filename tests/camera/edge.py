"""An edge for tests: a spool and a sender in front of real servers."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from manypath_api.v1 import codec_pb2 as pb
from manypath_camera.sender import Sender, SenderOptions
from manypath_camera.spool import Spool
from manypath_camera.wire import BitstreamsToDecoder, PicturesToEncoder
from manypath_services.common.client import DECODER_SERVICE, ENCODER_SERVICE, connect

FAST = SenderOptions(first_backoff_seconds=0.05, longest_backoff_seconds=0.2)


class Edge:
    """Sends what is put into its spool to a server, from the loop given.

    ``target`` may be changed at any time: the next stream goes there.
    """

    def __init__(self, loop: Any, folder: Path, target: str, *, pictures: bool, options: SenderOptions = FAST) -> None:
        self.loop = loop
        self.target = target
        self.spool = Spool(folder)
        self.answers: list[pb.FrameAnswer] = []
        self.refusals: list[pb.FrameRefusal] = []
        service = ENCODER_SERVICE if pictures else DECODER_SERVICE
        self.sender = Sender(
            self.spool,
            lambda: connect(self.target, service, stream=True),
            PicturesToEncoder() if pictures else BitstreamsToDecoder(),
            options,
            on_answer=self._keep_answer,
            on_refusal=self._keep_refusal,
        )
        self._running = loop.start(self.sender.run())

    async def _keep_answer(self, answer: pb.FrameAnswer) -> None:
        self.answers.append(answer)

    async def _keep_refusal(self, refusal: pb.FrameRefusal) -> None:
        self.refusals.append(refusal)

    def put_picture(self, picture: pb.Picture, *, camera: str = "gate", **frame: Any) -> int:
        message = pb.PictureFrame(header=header(camera), picture=picture, **frame)
        return self._put(camera, message)

    def put_bitstream(self, bitstream: bytes, *, camera: str = "gate", **frame: Any) -> int:
        return self._put(camera, pb.BitstreamFrame(header=header(camera), bitstream=bitstream, **frame))

    def _put(self, camera: str, message: Any) -> int:
        put = self.spool.put(camera, time.time(), message.SerializeToString())
        self.sender.wake()
        return put.sequence

    def stop(self) -> None:
        """End as a killed process would: nothing is flushed, nothing acknowledged."""
        self._running.cancel()

    def close(self) -> None:
        self._running.cancel()
        self.spool.close()


def header(camera: str) -> pb.FrameHeader:
    message = pb.FrameHeader(camera=camera)
    message.time.captured_at.FromNanoseconds(time.time_ns())
    message.time.monotonic_seconds = time.monotonic()
    return message
