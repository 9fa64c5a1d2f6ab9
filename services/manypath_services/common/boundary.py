"""The one place where calls begin and end: ids, metrics, logs, and errors turned into statuses."""

from __future__ import annotations

import asyncio
import logging
import re
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import grpc

from manypath_services.common import admission, logs
from manypath_services.common.admission import Admission
from manypath_services.common.errors import ServiceError
from manypath_services.common.metrics import ServiceMetrics
from manypath_services.common.status import Codes, Status, status_of

REQUEST_ID = "x-request-id"

_log = logging.getLogger(__name__)
_ID = re.compile(r"[\x21-\x7e]{1,128}")
_Context = grpc.aio.ServicerContext[Any, Any]
_Handler = Callable[[Any, _Context], Awaitable[Any]]


class Boundary(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]  # generic in its stubs only
    """Surrounds every unary call of ours; health and reflection pass through.

    The request's id comes from the caller's metadata, or is made here, and goes back with the trailing
    metadata: leading metadata would end gRPC's readiness to retry.

    Args:
        metrics: where calls are counted.
        refusal: the error that every new call now ends with; None while calls are welcome.
        admission: names the caller of each call, or turns it away.
        codes: statuses of errors that are not ours.
    """

    def __init__(
        self,
        metrics: ServiceMetrics,
        refusal: Callable[[], ServiceError | None],
        admission: Admission,
        codes: Codes | None = None,
    ) -> None:
        self._metrics = metrics
        self._refusal = refusal
        self._admission = admission
        self._codes = codes
        self._under_way = 0
        self._idle = asyncio.Event()
        self._idle.set()

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
        if handler is None or handler.unary_unary is None or name.startswith("/grpc."):
            return handler
        service, _, method = name.lstrip("/").rpartition("/")
        inner: Any = handler.unary_unary

        async def call(request: Any, context: _Context) -> Any:
            return await self._call(inner, request, context, (service, method, "unary"))

        return grpc.unary_unary_rpc_method_handler(
            call,
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )

    async def _call(self, handler: _Handler, request: Any, context: _Context, labels: tuple[str, str, str]) -> Any:
        begun = time.perf_counter()
        request_id = _request_id(context)
        logs.request_id.set(request_id)  # the call is a task of its own, and so is its context
        self._metrics.started.labels(*labels).inc()
        self._count(1)
        status = Status(grpc.StatusCode.OK, "")
        response = None
        try:
            self._admission.admit(context)
            refusal = self._refusal()
            if refusal is not None:
                raise refusal
            response = await handler(request, context)
        except asyncio.CancelledError:
            status = Status(grpc.StatusCode.CANCELLED, "the caller went away or its deadline passed")
            raise
        except grpc.aio.AbortError:
            status = Status(context.code(), context.details())
            raise
        except Exception as err:  # noqa: BLE001  (the boundary: what the table lacks is told to the log alone)
            status = status_of(err, request_id, self._codes)
            if not status.expected:
                _log.exception("internal error")
        finally:  # before the caller hears of it: who has an answer finds it counted
            self._record(labels, status, time.perf_counter() - begun, context.peer())
        trailing = ((REQUEST_ID, request_id), *status.trailing)
        if status.code is not grpc.StatusCode.OK:
            await context.abort(status.code, status.details, trailing)
        context.set_trailing_metadata(trailing)
        return response

    def _count(self, change: int) -> None:
        self._under_way += change
        self._metrics.inflight.set(self._under_way)
        if self._under_way:
            self._idle.clear()
        else:
            self._idle.set()

    def _record(self, labels: tuple[str, str, str], status: Status, seconds: float, peer: str) -> None:
        service, method, _ = labels
        self._count(-1)
        self._metrics.handled.labels(*labels, status.code.name).inc()
        self._metrics.handling.labels(*labels).observe(seconds)
        call = {"grpc_service": service, "grpc_method": method, "grpc_code": status.code.name}
        caller = admission.caller.get()
        if caller:
            call["caller"] = caller
        _log.info("call", extra={**call, "details": status.details, "seconds": round(seconds, 6), "peer": peer})


def _request_id(context: _Context) -> str:
    for key, value in context.invocation_metadata() or ():
        if key == REQUEST_ID and isinstance(value, str) and _ID.fullmatch(value):
            return value
    return uuid.uuid4().hex
