"""The encoder and the decoder, called as the pages need them."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Sequence
from typing import Any, NamedTuple, TypeVar

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from manypath_api.v1 import codec_pb2 as pb
from manypath_api.v1 import codec_pb2_grpc as pb_grpc
from manypath_services.common.client import DECODER_SERVICE, ENCODER_SERVICE, channel_options, open_channel
from manypath_services.common.security import ClientSecurity, client_security
from manypath_services.common.tls import Renewed
from manypath_services.console.metrics import ConsoleMetrics
from manypath_services.console.problems import problem_of
from manypath_services.console.settings import ConsoleSettings

_Answer = TypeVar("_Answer")
_CAPABILITIES_SECONDS = 5.0  # for which they are believed
_HEALTH_SECONDS = 2.0
# Whoever waits at a page wants to hear soon that a server is away, and soon that it is back.
_RECONNECT = (("grpc.max_reconnect_backoff_ms", 1000),)


class Health(NamedTuple):
    """How a service does.

    Attributes:
        name: "encoder" or "decoder".
        target: its address.
        serving: whether it says SERVING.
        words: what it says, or why it says nothing.
        seconds: until it answered; None if it did not.
    """

    name: str
    target: str
    serving: bool
    words: str
    seconds: float | None


class CodecServices:
    """Channels to encoder and decoder.

    Args:
        settings: where they are, and how long to wait.
        metrics: where the expiry of certificates shows.
    """

    def __init__(self, settings: ConsoleSettings, metrics: ConsoleMetrics) -> None:
        self._settings = settings
        self._targets = {"encoder": settings.encoder, "decoder": settings.decoder}
        security = client_security(
            settings, metrics, tls=settings.services_tls, token_file=settings.services_token_file
        )
        self._channels = {
            name: _channel(self._targets[name], service, settings.max_message_bytes, security)
            for name, service in (("encoder", ENCODER_SERVICE), ("decoder", DECODER_SERVICE))
        }
        self._known: dict[str, tuple[float, Any]] = {}

    async def close(self) -> None:
        """Hang up."""
        for channel in self._channels.values():
            await channel.close()

    async def encode(self, file: bytes, rate: pb.Rate) -> pb.EncodeResponse:
        """Encode a picture file.

        Raises:
            ProblemError: the encoder cannot, or cannot be reached.
        """
        request = pb.EncodeRequest(picture=pb.Picture(file=file), rate=rate)
        return await self._answer("encoder", self._encoder().Encode(request, **self._call()))

    async def decode(self, stream: bytes, pictures: Sequence[pb.PathRequest]) -> pb.DecodeResponse:
        """Decode a bitstream along some paths, as PNG.

        Raises:
            ProblemError: the decoder cannot, or cannot be reached.
        """
        request = pb.DecodeRequest(bitstream=stream, pictures=pictures)
        return await self._answer("decoder", self._decoder().Decode(request, **self._call()))

    async def analyze(
        self, stream: bytes, tasks: Sequence[pb.TaskRequest], pictures: Sequence[pb.PathRequest] = ()
    ) -> pb.AnalyzeResponse:
        """Have a bitstream decoded and looked at.

        Raises:
            ProblemError: the decoder or a worker cannot, or cannot be reached.
        """
        request = pb.AnalyzeRequest(bitstream=stream, tasks=tasks, pictures=pictures)
        return await self._answer("decoder", self._decoder().Analyze(request, **self._call()))

    async def bit_map(self, stream: bytes) -> pb.BitMap:
        """Return where the bits of a bitstream went.

        Raises:
            ProblemError: the decoder cannot, or cannot be reached.
        """
        request = pb.InspectRequest(bitstream=stream, bit_map=True)
        answer = await self._answer("decoder", self._decoder().Inspect(request, **self._call()))
        return answer.bit_map  # type: ignore[no-any-return]

    async def watch_results(self, interval_seconds: float) -> AsyncGenerator[pb.WatchResultsResponse, None]:
        """Yield the newest frame of each camera with its bitstream, and each newer one.

        Args:
            interval_seconds: shortest time between two of one camera.

        Raises:
            ProblemError: the decoder cannot be reached, or ended the stream.
        """
        request = pb.WatchResultsRequest(bitstreams=True, interval_seconds=interval_seconds)
        call = self._decoder().WatchResults(request, wait_for_ready=False)
        try:
            async for told in call:
                yield told
        except grpc.aio.AioRpcError as err:
            raise problem_of(err, "decoder", self._targets["decoder"]) from err
        finally:
            call.cancel()

    async def encoder_capabilities(self) -> pb.GetCapabilitiesResponse:
        """Return what the encoder has and accepts.

        Raises:
            ProblemError: it cannot be reached.
        """
        return await self._believed(  # type: ignore[no-any-return]
            "encoder", lambda: self._encoder().GetCapabilities(pb.GetCapabilitiesRequest(), **self._call())
        )

    async def decoder_capabilities(self) -> pb.DecoderServiceGetCapabilitiesResponse:
        """Return what the decoder has and accepts.

        Raises:
            ProblemError: it cannot be reached.
        """
        return await self._believed(  # type: ignore[no-any-return]
            "decoder",
            lambda: self._decoder().GetCapabilities(pb.DecoderServiceGetCapabilitiesRequest(), **self._call()),
        )

    async def health(self, name: str) -> Health:
        """Return how a service does; never raises."""
        begun = time.perf_counter()
        stub: Any = health_pb2_grpc.HealthStub(self._channels[name].current())
        target = self._targets[name]
        try:
            answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=_HEALTH_SECONDS, wait_for_ready=False)
        except grpc.aio.AioRpcError as err:
            words = "not reachable" if err.code() is grpc.StatusCode.UNAVAILABLE else err.code().name.lower()
            return Health(name, target, False, words.replace("_", " "), None)
        status = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
        serving = answer.status == health_pb2.HealthCheckResponse.SERVING
        return Health(name, target, serving, status.replace("_", " ").lower(), time.perf_counter() - begun)

    def _encoder(self) -> Any:
        return pb_grpc.EncoderServiceStub(self._channels["encoder"].current())  # type: ignore[no-untyped-call]

    def _decoder(self) -> Any:
        return pb_grpc.DecoderServiceStub(self._channels["decoder"].current())  # type: ignore[no-untyped-call]

    def _call(self) -> dict[str, Any]:
        return {"timeout": self._settings.timeout_seconds, "wait_for_ready": False}

    async def _answer(self, name: str, call: Awaitable[_Answer]) -> _Answer:
        try:
            return await call
        except grpc.aio.AioRpcError as err:
            raise problem_of(err, name, self._targets[name]) from err

    async def _believed(self, name: str, ask: Any) -> Any:
        until, known = self._known.get(name, (0.0, None))
        if time.monotonic() < until:
            return known
        answer = await self._answer(name, ask())
        self._known[name] = (time.monotonic() + _CAPABILITIES_SECONDS, answer)
        return answer


def _channel(target: str, service: str, max_message_bytes: int, security: ClientSecurity) -> Renewed[grpc.aio.Channel]:
    options = [
        *channel_options(service, max_message_bytes=max_message_bytes, wait_for_ready=False),
        *_RECONNECT,
    ]
    return Renewed(
        lambda credentials: open_channel(target, options, credentials),
        grpc.aio.Channel.close,
        certificates=security.certificates,
        token=security.token,
    )
