"""The two calls that a sender can speak: to an encoder with pictures, to a decoder with bitstreams."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from manypath_api.v1 import codec_pb2 as pb
from manypath_api.v1 import codec_pb2_grpc as pb_grpc

Request = pb.EncodeStreamRequest | pb.AnalyzeStreamRequest
Response = pb.EncodeStreamResponse | pb.AnalyzeStreamResponse


class Wire(Protocol):
    """One of the two calls: its messages, and how it is begun."""

    def open(self, message: pb.StreamOpen) -> Request:
        """Return the message that opens a session."""

    def frame(self, payload: bytes, sequence: int, settled: int) -> Request:
        """Return a spool's frame, with its number.

        Raises:
            DecodeError: the payload is no such frame.
        """

    def heartbeat(self, settled: int) -> Request:
        """Return the message that says that this side is there."""

    def call(self, channel: Any) -> Any:
        """Begin the call on a channel of ``grpc.aio``; return it."""


class PicturesToEncoder:
    """``EncoderService/EncodeStream``: a spool's payloads are ``PictureFrame``."""

    def open(self, message: pb.StreamOpen) -> Request:
        """See ``Wire``."""
        return pb.EncodeStreamRequest(open=message)

    def frame(self, payload: bytes, sequence: int, settled: int) -> Request:
        """See ``Wire``."""
        request = pb.EncodeStreamRequest(frame=pb.PictureFrame.FromString(payload))
        request.frame.header.sequence, request.frame.header.settled = sequence, settled
        return request

    def heartbeat(self, settled: int) -> Request:
        """See ``Wire``."""
        return pb.EncodeStreamRequest(heartbeat=pb.Heartbeat(settled=settled))

    def call(self, channel: Any) -> Any:
        """See ``Wire``."""
        method: Callable[[], Any] = pb_grpc.EncoderServiceStub(channel).EncodeStream  # type: ignore[no-untyped-call]
        return method()


class BitstreamsToDecoder:
    """``DecoderService/AnalyzeStream``: a spool's payloads are ``BitstreamFrame``."""

    def open(self, message: pb.StreamOpen) -> Request:
        """See ``Wire``."""
        return pb.AnalyzeStreamRequest(open=message)

    def frame(self, payload: bytes, sequence: int, settled: int) -> Request:
        """See ``Wire``."""
        request = pb.AnalyzeStreamRequest(frame=pb.BitstreamFrame.FromString(payload))
        request.frame.header.sequence, request.frame.header.settled = sequence, settled
        return request

    def heartbeat(self, settled: int) -> Request:
        """See ``Wire``."""
        return pb.AnalyzeStreamRequest(heartbeat=pb.Heartbeat(settled=settled))

    def call(self, channel: Any) -> Any:
        """See ``Wire``."""
        method: Callable[[], Any] = pb_grpc.DecoderServiceStub(channel).AnalyzeStream  # type: ignore[no-untyped-call]
        return method()
