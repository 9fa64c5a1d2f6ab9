"""The one place where calls begin and end: ids, metrics, logs, messages, and errors turned into statuses.

Calls come in as streams of raw bytes, also those with one message. So a call is known, counted and can be refused
before its message is there; and a message is bounded and parsed inside, where a malformed one becomes a named error.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
import traceback
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from contextvars import ContextVar
from types import TracebackType
from typing import Any, NamedTuple, Self

import grpc

from manypath_services.common import admission, logs, tracing, wire
from manypath_services.common.admission import Admission
from manypath_services.common.errors import MessageError, OverloadedError, ServiceError
from manypath_services.common.intake import Intake
from manypath_services.common.metrics import ServiceMetrics
from manypath_services.common.status import Codes, Status, status_of

REQUEST_ID = "x-request-id"

stopping: ContextVar[asyncio.Event] = ContextVar("stopping")
"""Set while the server is about to end: what the current stream has begun it finishes, and then it ends."""

_log = logging.getLogger(__name__)
_ID = re.compile(r"[\x21-\x7e]{1,128}")
_COME_AGAIN_SECONDS = 1.0
_Context = grpc.aio.ServicerContext[Any, Any]
_Parse = Callable[[bytes], Awaitable[Any]]


class _Labels(NamedTuple):
    """Of a call in metrics and logs."""

    service: str
    method: str
    kind: str


class Boundary(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]  # generic in its stubs only
    """Surrounds every call of ours; health and reflection pass through.

    The request's id comes from the caller's metadata, or is made here, and goes back with the trailing
    metadata: leading metadata would end gRPC's readiness to retry.

    Args:
        metrics: where calls are counted.
        refusal: the error that every new call now ends with; None while calls are welcome.
        admission: names the caller of each call, or turns it away.
        intake: bounds what is held of requests.
        most_calls: under way at once, those whose message is still to come not counted.
        codes: statuses of errors that are not ours.
    """

    def __init__(
        self,
        metrics: ServiceMetrics,
        refusal: Callable[[], ServiceError | None],
        admission: Admission,
        intake: Intake,
        *,
        most_calls: int,
        codes: Codes | None = None,
    ) -> None:
        self._metrics = metrics
        self._refusal = refusal
        self._admission = admission
        self._intake = intake
        self._most_calls = most_calls
        self._codes = codes
        self._under_way = 0
        self.stopping = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def end_streams(self) -> None:
        """Have every stream finish what it has begun, and end."""
        self.stopping.set()

    async def wait_idle(self) -> None:
        """Return when no call is under way."""
        await self._idle.wait()

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any]]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Wrap the handler of one call."""
        handler: grpc.RpcMethodHandler[Any, Any] | None = await continuation(handler_call_details)
        name: str = handler_call_details.method
        if handler is None or name.startswith("/grpc."):
            return handler
        service, _, method = name.lstrip("/").rpartition("/")
        parse = wire.parser(handler.request_deserializer)
        if handler.unary_unary is not None:
            return self._unary(handler, parse, _Labels(service, method, "unary"))
        if handler.stream_stream is not None:
            return self._stream(handler, parse, _Labels(service, method, "bidi_stream"))
        if handler.unary_stream is not None:
            return self._watch(handler, parse, _Labels(service, method, "server_stream"))
        return handler

    def _unary(self, handler: Any, parse: _Parse, labels: _Labels) -> Any:
        inner: Callable[[Any, _Context], Awaitable[Any]] = handler.unary_unary

        # by ``read``: the iterator would keep each message until the event loop finds time to finalise it
        async def call(_: AsyncIterator[bytes], context: _Context) -> Any:
            async with _Call(self, context, labels) as this:
                return await self._answer(this, context, parse, inner)

        return grpc.stream_unary_rpc_method_handler(
            call, request_deserializer=None, response_serializer=handler.response_serializer
        )

    async def _answer(
        self, this: _Call, context: _Context, parse: _Parse, inner: Callable[[Any, _Context], Awaitable[Any]]
    ) -> Any:
        """Take the call's message, bounded, and return what its handler makes of it."""
        async with self._intake.arriving(context.peer()):
            message = await context.read()
        if not isinstance(message, bytes):
            raise MessageError("the call brought no message")
        this.admit()
        with self._intake.held(len(message)):
            request = await parse(message)
            del message
            return await inner(request, context)

    def _stream(self, handler: Any, parse: _Parse, labels: _Labels) -> Any:
        inner: Callable[[AsyncIterator[Any], _Context], AsyncGenerator[Any, None]] = handler.stream_stream

        async def parsed(messages: AsyncIterator[bytes]) -> AsyncIterator[Any]:
            async for message in messages:
                yield await parse(message)

        async def call(messages: AsyncIterator[bytes], context: _Context) -> AsyncIterator[Any]:
            async with _Call(self, context, labels) as this:
                this.admit()
                async with aclosing(inner(parsed(messages), context)) as responses:
                    async for response in responses:
                        yield response

        return grpc.stream_stream_rpc_method_handler(
            call, request_deserializer=None, response_serializer=handler.response_serializer
        )

    def _watch(self, handler: Any, parse: _Parse, labels: _Labels) -> Any:
        inner: Callable[[Any, _Context], AsyncGenerator[Any, None]] = handler.unary_stream

        async def call(message: bytes, context: _Context) -> AsyncIterator[Any]:
            async with _Call(self, context, labels) as this:
                this.admit()
                async with aclosing(inner(await parse(message), context)) as responses:
                    async for response in responses:
                        yield response

        return grpc.unary_stream_rpc_method_handler(
            call, request_deserializer=None, response_serializer=handler.response_serializer
        )

    # -- what a call does ---------------------------------------------------------------------------------------

    def begin(self, labels: _Labels, context: _Context) -> None:
        """Count a call, and name its caller.

        Raises:
            ServiceError: it is not welcome.
        """
        self._metrics.started.labels(*labels).inc()
        self._admission.admit(context)
        refusal = self._refusal()
        if refusal is not None:
            raise refusal

    def admit(self) -> None:
        """Count a call whose message is there, or whose stream begins.

        Raises:
            ServiceError: it is not welcome, or there are too many.
        """
        refusal = self._refusal()
        if refusal is not None:
            raise refusal
        if self._under_way >= self._most_calls:
            self._metrics.refusals.count("calls")
            raise OverloadedError(f"{self._under_way} calls are under way; come again", _COME_AGAIN_SECONDS)
        self._count(1)

    def status_of(self, error: BaseException, request_id: str) -> Status:
        """Return how a call ends that raised ``error``; what nobody foresaw goes to the log."""
        status = status_of(error, request_id, self._codes)
        if not status.expected:
            _log.error("internal error", exc_info=error)
        return status

    def end(self, labels: _Labels, status: Status, seconds: float, peer: str, *, admitted: bool) -> None:
        """Count and log a call that ends."""
        if admitted:
            self._count(-1)
        self._metrics.handled.labels(*labels, status.code.name).inc()
        self._metrics.handling.labels(*labels).observe(seconds, tracing.exemplar())
        call = {"grpc_service": labels.service, "grpc_method": labels.method, "grpc_code": status.code.name}
        caller = admission.caller.get()
        if caller:
            call["caller"] = caller
        noted = dict(logs.noted.get({}))
        if noted.get(logs.STAGE) is None or status.code is grpc.StatusCode.OK:
            noted.pop(logs.STAGE, None)
        call |= {"details": status.details, "peer": peer}
        _log.info("call", extra={**noted, **call, "seconds": round(seconds, 6)})

    def _count(self, change: int) -> None:
        self._under_way += change
        self._metrics.inflight.set(self._under_way)
        if self._under_way:
            self._idle.clear()
        else:
            self._idle.set()


class _Call:
    """One call, from its first byte to its status; an async context manager around what serves it."""

    def __init__(self, boundary: Boundary, context: _Context, labels: _Labels) -> None:
        self._boundary = boundary
        self._context = context
        self._labels = labels
        self._admitted = False
        self._begun = time.perf_counter()
        self._id = _request_id(context)
        self._peer = context.peer()  # now: asked of a stream that its caller left, gRPC reads memory that is freed
        self._span: tracing.Span | None = None

    async def __aenter__(self) -> Self:
        logs.request_id.set(self._id)  # the call is a task of its own, and so is its context
        logs.noted.set({})
        facts = {"rpc.system": "grpc", "rpc.service": self._labels.service, "rpc.method": self._labels.method}
        name = f"{self._labels.service}/{self._labels.method}"
        self._span = tracing.enter(name, _metadatum(self._context, tracing.TRACEPARENT), facts)
        stopping.set(self._boundary.stopping)
        try:
            self._boundary.begin(self._labels, self._context)
        except ServiceError as err:
            await self._finish(self._boundary.status_of(err, self._id))
        return self

    def admit(self) -> None:
        """See ``Boundary.admit``."""
        self._boundary.admit()
        self._admitted = True

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            await self._finish(Status(grpc.StatusCode.OK, ""))
        elif isinstance(error, grpc.aio.AbortError):
            self._end(Status(self._context.code(), self._context.details()))
        elif isinstance(error, asyncio.CancelledError | GeneratorExit):
            where = logs.noted.get({}).get(logs.STAGE)
            during = "" if where is None else f", in stage {where}"
            self._end(Status(grpc.StatusCode.CANCELLED, f"the caller went away or its deadline passed{during}"))
        elif isinstance(error, Exception):  # the boundary: what nobody foresaw is told to the log alone
            status = self._boundary.status_of(error, self._id)
            _let_go(error)
            await self._finish(status)

    async def _finish(self, status: Status) -> None:
        self._end(status)  # before the caller hears of it: who has an answer finds it counted
        trailing = ((REQUEST_ID, self._id), *status.trailing)
        if status.code is not grpc.StatusCode.OK:
            await self._context.abort(status.code, status.details, trailing)
        self._context.set_trailing_metadata(trailing)

    def _end(self, status: Status) -> None:
        seconds = time.perf_counter() - self._begun
        self._boundary.end(self._labels, status, seconds, self._peer, admitted=self._admitted)
        if self._span is not None:
            facts: dict[str, str | int] = {
                "rpc.grpc.status_code": status.code.value[0],
                "manypath.request_id": self._id,
            }
            self._span.end(facts, "" if status.code is grpc.StatusCode.OK else status.details)


def _let_go(error: BaseException | None) -> None:
    """Clear the variables of the frames that an error went through: its cycles would keep whole messages for long."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


def _request_id(context: _Context) -> str:
    given = _metadatum(context, REQUEST_ID)
    return given if _ID.fullmatch(given) else uuid.uuid4().hex


def _metadatum(context: _Context, name: str) -> str:
    """Return what the caller sent under a name; empty if nothing."""
    for key, value in context.invocation_metadata() or ():
        if key == name and isinstance(value, str):
            return value
    return ""
