"""The encoder's way to its decoder."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import cast

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from manypath import RequestError
from manypath_api.v1 import codec_pb2 as pb
from manypath_api.v1 import codec_pb2_grpc as pb_grpc
from manypath_services.codec.metrics import CodecMetrics
from manypath_services.common import logs, tracing
from manypath_services.common.boundary import REQUEST_ID
from manypath_services.common.client import DECODER_SERVICE, connect, through_proxy, why_unreachable
from manypath_services.common.downstream import Downstream
from manypath_services.common.errors import DownstreamError, DownstreamUnavailableError, UnsupportedError
from manypath_services.common.security import client_security
from manypath_services.common.server import Server
from manypath_services.common.tls import Renewed, client_credentials
from manypath_services.encoder.settings import EncoderSettings

_LOOK_SECONDS = 2.0  # between two looks at the decoder's health, and the longest wait for one
_EARLIER = 0.95  # of the time that a caller still has
_MOST_ASKED = 64  # the most that a decoder can be set to accept


class Uplink:
    """Forwards bitstreams to the decoder that the settings name.

    Args:
        settings: target and time limit.
        metrics: where calls are counted.
    """

    def __init__(self, settings: EncoderSettings, metrics: CodecMetrics) -> None:
        self._settings = settings
        self._downstream = Downstream(
            "decoder",
            f"the decoder at {settings.uplink}",
            limit=settings.uplink_limit,
            calls=metrics.downstream,
            under_way=metrics.downstream_under_way,
            refusals=metrics.refusals,
        )
        security = self._security = client_security(
            settings, metrics, tls=settings.uplink_tls, token_file=settings.uplink_token_file
        )
        self._channel = Renewed(
            lambda credentials: connect(
                settings.uplink,
                DECODER_SERVICE,
                max_message_bytes=settings.max_message_bytes,
                credentials=credentials,
            ),
            grpc.aio.Channel.close,
            certificates=security.certificates,
            token=security.token,
        )

    @contextmanager
    def place(self, request: pb.ProcessRequest) -> Iterator[None]:
        """Surround a request that will be forwarded, its encoding included; refuse it before anything is encoded.

        Raises:
            UnsupportedError: there is no uplink.
            RequestError: nothing is wanted back, or too much.
            OverloadedError: too many requests wait for the decoder.
            DownstreamAwayError: the decoder is known to be away.
        """
        self._check(request)
        with self._downstream.place():
            yield

    def _check(self, request: pb.ProcessRequest) -> None:
        if not self._settings.uplink:
            raise UnsupportedError("this encoder has no uplink; set MANYPATH_ENCODER_UPLINK, or call Encode")
        if not request.tasks and not request.pictures:
            raise RequestError("tasks and pictures are both empty; ask for one at least, or call Encode")
        asked = len(request.tasks) + len(request.pictures)
        if asked > _MOST_ASKED:
            raise RequestError(f"a request has at most {_MOST_ASKED} pictures and tasks together, got {asked}")

    async def analyze(
        self, bitstream: bytes, request: pb.ProcessRequest, remaining_seconds: float | None
    ) -> pb.AnalyzeResponse:
        """Have a bitstream decoded and looked at.

        Raises:
            DownstreamUnavailableError: the decoder cannot be reached, or not in time.
            DownstreamError: it refused; its status is passed on.
        """
        target = self._settings.uplink
        limit = self._settings.uplink_timeout_seconds
        # a little before the caller's own deadline, so that it learns what was wrong
        timeout = limit if remaining_seconds is None else min(limit, _EARLIER * remaining_seconds)
        channel = self._channel.current()
        stub = pb_grpc.DecoderServiceStub(channel)  # type: ignore[no-untyped-call]
        analysis = pb.AnalyzeRequest(
            bitstream=bitstream,
            tasks=request.tasks,
            pictures=request.pictures,
            picture_format=request.picture_format,
        )
        try:
            with tracing.span("uplink", kind="client", target=target):
                async with self._downstream.call():
                    response: pb.AnalyzeResponse = await stub.Analyze(
                        analysis, timeout=timeout, metadata=((REQUEST_ID, logs.request_id.get()), *tracing.headers())
                    )
            return response
        except grpc.aio.AioRpcError as err:
            code = err.code()
            if _answered(err):
                raise DownstreamError(f"the decoder at {target} answered {code.name}: {err.details()}", code) from err
            if code is grpc.StatusCode.UNAVAILABLE:
                message = f"the decoder at {target} cannot be reached: {err.details()}{through_proxy(target)}"
                raise DownstreamUnavailableError(message) from err
            if code is grpc.StatusCode.DEADLINE_EXCEEDED:
                reason = await why_unreachable(channel)
                said = f": {reason}{through_proxy(target)}" if reason else ""
                message = f"the decoder at {target} did not answer within {timeout:.3f} s{said}"
                raise DownstreamError(message, code) from err
            raise DownstreamError(f"the call to the decoder at {target} failed: {err.details()}", code) from err

    def open_stream_channel(self) -> grpc.aio.Channel:
        """Open a channel for one stream of frames; with the newest certificates, as every stream opens anew."""
        certificates, token = self._security
        return connect(
            self._settings.uplink,
            DECODER_SERVICE,
            max_message_bytes=self._settings.max_message_bytes,
            credentials=None if certificates is None else client_credentials(certificates, token),
            stream=True,
        )

    async def close(self) -> None:
        """Hang up."""
        await self._channel.close()

    async def answers(self) -> bool:
        """Return whether a decoder is there that serves: the channel follows the health of each."""
        stub = health_pb2_grpc.HealthStub(self._channel.current())
        try:
            await stub.Check(health_pb2.HealthCheckRequest(service=DECODER_SERVICE), timeout=_LOOK_SECONDS)
        except grpc.aio.AioRpcError:
            return False
        return True

    async def follow(self, server: Server) -> None:
        """Keep the server's readiness that of the decoder, for ever."""
        while True:
            if await self.answers():
                await server.release()
            else:
                await server.hold(f"no decoder answers at {self._settings.uplink}")
            await asyncio.sleep(_LOOK_SECONDS)


def _answered(error: grpc.aio.AioRpcError) -> bool:
    """Return whether a status comes from the decoder itself, whose answers carry the request's id."""
    return REQUEST_ID in dict(cast("Iterable[tuple[str, str]]", error.trailing_metadata() or ()))
