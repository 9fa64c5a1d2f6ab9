"""One trace from camera to worker: who called, what ran inside, for how long.

A trace's name travels in the metadata ``traceparent``, as the W3C's recommendation has it. Without an exporter, a
service still reads it, writes it into its logs and passes it on as it came. With one (``configure``, extra
``tracing``) each call becomes a span with its stages inside, and the calls that it makes become its children.

OpenTelemetry's own interceptor for asyncio servers breaks handlers of bidirectional streams, so the hooks are ours:
the boundary begins and ends calls, clients of other services ask for ``headers`` inside of ``span``.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple, Protocol

from manypath_services.common import logs

TRACEPARENT = "traceparent"
_HEADER = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?P<trace>(?!0{32})[0-9a-f]{32})-(?P<span>(?!0{16})[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})"
)
_SAMPLED = 1
Attributes = Mapping[str, str | int | float | Sequence[str]]


class Trace(NamedTuple):
    """Where the current work stands in its trace.

    Attributes:
        trace: 32 hexadecimal digits, the same from camera to worker.
        span: 16 hexadecimal digits of the work itself.
        sampled: whether somebody keeps it.
    """

    trace: str
    span: str
    sampled: bool

    @property
    def header(self) -> str:
        """As ``traceparent`` has it."""
        return f"00-{self.trace}-{self.span}-{self.sampled:02x}"


current: ContextVar[Trace | None] = ContextVar("trace", default=None)
"""Of the current work; None where nobody traces."""


def _trace_id() -> str:
    trace = current.get()
    return "" if trace is None else trace.trace


logs.trace_id = _trace_id


class Span(Protocol):
    """A piece of work under way."""

    def end(self, attributes: Attributes, error: str) -> None:
        """End it.

        Args:
            attributes: what is known of it now.
            error: what went wrong; empty if nothing did.
        """


class Recorder(Protocol):
    """Keeps spans."""

    def begin(
        self, name: str, parent: Trace | None, *, kind: str, attributes: Attributes, begun_ns: int | None
    ) -> tuple[Span, Trace]:
        """Begin a span; see ``span``."""

    def close(self) -> None:
        """Send what is still kept."""


class _Nothing:
    """A span that nobody keeps."""

    def end(self, attributes: Attributes, error: str) -> None:
        """Do nothing."""


_NOTHING = _Nothing()
_recorder: Recorder | None = None


def configure(recorder: Recorder | None) -> None:
    """Keep spans from now on; None keeps none."""
    global _recorder  # noqa: PLW0603  (a process has one, as it has one log)
    _recorder = recorder


def parse(header: str) -> Trace | None:
    """Read a ``traceparent``; None if it makes no sense, as if it had not come."""
    match = _HEADER.fullmatch(header)
    return None if match is None else Trace(match["trace"], match["span"], bool(int(match["flags"], 16) & _SAMPLED))


def enter(name: str, traceparent: str, attributes: Attributes) -> Span:
    """Begin the work that a caller asked for; the current context belongs to it from now on.

    Args:
        name: of the work.
        traceparent: as it came; empty begins a trace.
        attributes: what is known of it.
    """
    parent = parse(traceparent)
    if _recorder is None:
        current.set(parent)
        return _NOTHING
    span_begun, trace = _recorder.begin(name, parent, kind="server", attributes=attributes, begun_ns=None)
    current.set(trace)
    return span_begun


@contextmanager
def span(name: str, *, kind: str = "internal", **attributes: str | float) -> Iterator[None]:
    """Trace the work inside the block, as a part of the current one; a cancelled call's log names it.

    Args:
        name: of the work.
        kind: "client" for a call to another service, else "internal".
        attributes: what is known of it.
    """
    outer = current.get()
    with logs.stage(name):
        if _recorder is None or outer is None:
            yield
            return
        begun, trace = _recorder.begin(name, outer, kind=kind, attributes=attributes, begun_ns=None)
        current.set(trace)
        error = ""
        try:
            yield
        except BaseException as err:
            error = f"{type(err).__name__}: {err}"
            raise
        finally:
            current.set(outer)
            begun.end({}, error)


def record_stages(seconds: Mapping[str, float]) -> None:
    """Trace stages that were measured one after the other and end now."""
    outer = current.get()
    if _recorder is None or outer is None or not outer.sampled:
        return
    ends = time.time_ns()
    begins = ends - round(1e9 * sum(seconds.values()))
    for name, spent in seconds.items():
        stage, _ = _recorder.begin(name, outer, kind="internal", attributes={}, begun_ns=begins)
        begins += round(1e9 * spent)
        stage.end({"end_ns": begins}, "")


def headers() -> tuple[tuple[str, str], ...]:
    """Return the metadata that take the current trace along to another service."""
    trace = current.get()
    return () if trace is None else ((TRACEPARENT, trace.header),)


def exemplar() -> dict[str, str] | None:
    """Return labels that lead from a measured value to the current trace; None if nobody keeps it."""
    trace = current.get()
    return {"trace_id": trace.trace} if trace is not None and trace.sampled and _recorder is not None else None


def otlp_recorder(service: str, endpoint: str, *, ratio: float, version: str) -> Recorder:
    """Return a recorder that sends spans to an OpenTelemetry collector.

    Args:
        service: name of this service.
        endpoint: of OTLP over gRPC, "http://host:port" or "https://host:port".
        ratio: share of traces begun here that are kept; those that came in follow their caller's choice.
        version: of this software.

    Raises:
        ImportError: the extra ``tracing`` is not installed.
    """
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

    resource = Resource.create({"service.name": f"manypath-{service}", "service.version": version})
    provider = TracerProvider(sampler=ParentBased(TraceIdRatioBased(ratio)), resource=resource)
    exporter = OTLPSpanExporter(endpoint=endpoint, insecure=endpoint.startswith("http://"))
    provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=1000))
    return OpenTelemetryRecorder(provider.get_tracer("manypath", version), provider.shutdown)


class OpenTelemetryRecorder:
    """Keeps spans by OpenTelemetry's SDK.

    Args:
        tracer: of the SDK.
        close: sends what is still kept.
    """

    def __init__(self, tracer: Any, close: Callable[[], None]) -> None:
        from opentelemetry import trace

        self._trace = trace
        self._tracer = tracer
        self.close = close

    def begin(
        self, name: str, parent: Trace | None, *, kind: str, attributes: Attributes, begun_ns: int | None
    ) -> tuple[Span, Trace]:
        """Begin a span."""
        api = self._trace
        context: Any = api.set_span_in_context(api.INVALID_SPAN)  # not what another library made current
        if parent is not None:
            known = api.SpanContext(
                int(parent.trace, 16), int(parent.span, 16), is_remote=True, trace_flags=api.TraceFlags(parent.sampled)
            )
            context = api.set_span_in_context(api.NonRecordingSpan(known))
        begun = self._tracer.start_span(
            name, context=context, kind=api.SpanKind[kind.upper()], attributes=attributes, start_time=begun_ns
        )
        made = begun.get_span_context()
        trace = Trace(f"{made.trace_id:032x}", f"{made.span_id:016x}", bool(made.trace_flags & _SAMPLED))
        return _OpenSpan(begun, api), trace


class _OpenSpan:
    def __init__(self, begun: Any, api: Any) -> None:
        self._begun = begun
        self._api = api

    def end(self, attributes: Attributes, error: str) -> None:
        facts = dict(attributes)
        end_ns = facts.pop("end_ns", None)
        self._begun.set_attributes(facts)
        if error:
            self._begun.set_status(self._api.StatusCode.ERROR, error)
        self._begun.end(end_ns)
