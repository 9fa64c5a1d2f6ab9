"""One trace from the camera's call to the worker's network, in a real collector; the log leads to it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import NamedTuple

import grpc
import pytest

pytest.importorskip("opentelemetry.proto")

from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as collector_pb
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as collector_grpc

from manypath_api.v1 import codec_pb2 as pb
from manypath_api.v1 import codec_pb2_grpc as pb_grpc
from manypath_cli.service_process import ServiceProcess
from tests.services.serving import MODEL, SECONDS, as_file, as_raw, photo

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
CAMERA = "import sys; from manypath_cli.main import main; sys.exit(main())"
CLASSIFY = pb.TaskRequest(task=pb.TASK_CLASSIFICATION)


class Span(NamedTuple):
    service: str
    name: str
    trace: str
    span: str
    parent: str
    seconds: float
    failed: bool


class Collector(collector_grpc.TraceServiceServicer):
    """An OpenTelemetry collector that keeps what it is sent."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self._changed = threading.Condition()
        self._server = grpc.server(ThreadPoolExecutor(2))
        collector_grpc.add_TraceServiceServicer_to_server(self, self._server)
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()

    def Export(self, request, context):
        with self._changed:
            for resource in request.resource_spans:
                names = {one.key: one.value.string_value for one in resource.resource.attributes}
                for one in (span for scope in resource.scope_spans for span in scope.spans):
                    ids = (one.trace_id.hex(), one.span_id.hex(), one.parent_span_id.hex())
                    seconds = (one.end_time_unix_nano - one.start_time_unix_nano) / 1e9
                    failed = one.status.code == 2
                    self.spans.append(Span(names["service.name"], one.name, *ids, seconds, failed))
            self._changed.notify_all()
        return collector_pb.ExportTraceServiceResponse()

    def wait_for(self, trace: str, *names: str) -> list[Span]:
        """Return a trace's spans, when these are among them, and the parents of all."""

        def complete() -> bool:
            known = {span.span for span in self.of(trace)} | {PARENT, ""}
            found = {span.name for span in self.of(trace)}
            return bool(found) and found >= set(names) and {span.parent for span in self.of(trace)} <= known

        with self._changed:
            assert self._changed.wait_for(complete, SECONDS), self.of(trace)
            return self.of(trace)

    def wait_for_any(self, *names: str) -> list[Span]:
        """Return the spans of the first trace that has all of these."""

        def complete() -> list[Span]:
            traces = {span.trace for span in self.spans}
            found = (self.of(trace) for trace in traces if {span.name for span in self.of(trace)} >= set(names))
            return next(found, [])

        with self._changed:
            found = self._changed.wait_for(complete, SECONDS)
            assert found, [span.name for span in self.spans]
            return found

    def of(self, trace: str) -> list[Span]:
        return [span for span in self.spans if span.trace == trace]

    def close(self) -> None:
        self._server.stop(None).wait()


@pytest.fixture(scope="module")
def collector():
    collector = Collector()
    yield collector
    collector.close()


@pytest.fixture(scope="module")
def traced(models, collector, tmp_path_factory):
    with ExitStack() as ends:

        def start(service, **settings):
            told = {"tracing": f"http://127.0.0.1:{collector.port}", **settings}
            return ends.enter_context(ServiceProcess(service, told))

        worker = start("worker", models=models)
        decoder = start("decoder", model=MODEL, workers=json.dumps({"classification": f"{worker.target}/colours"}))
        encoder = start("encoder", model=MODEL, uplink=decoder.target, spool=tmp_path_factory.mktemp("spool"))
        for process in (worker, decoder, encoder):
            process.wait_ready()
        yield encoder, decoder, worker


@pytest.fixture
def encoder(traced):
    with grpc.insecure_channel(traced[0].target) as channel:
        yield pb_grpc.EncoderServiceStub(channel)


def ancestors(span: Span, spans: list[Span]) -> list[str]:
    by_id = {one.span: one for one in spans}
    names = []
    while span.parent in by_id:
        span = by_id[span.parent]
        names.append(span.name)
    return [*names, span.parent]


def lines(process, text: str) -> list[dict]:
    limit = time.monotonic() + SECONDS
    while not (found := [json.loads(line) for line in list(process.log) if text in line]):
        assert time.monotonic() < limit, f"{process.service} logged no line with {text}"
        time.sleep(0.01)
    return found


def test_a_call_is_one_trace_through_all_services_with_its_stages_inside(encoder, traced, collector):
    begun = time.perf_counter()
    request = pb.ProcessRequest(picture=as_raw(photo()), tasks=[CLASSIFY])
    encoder.Process(request, timeout=SECONDS, metadata=(("traceparent", f"00-{TRACE}-{PARENT}-01"),))
    took = time.perf_counter() - begun
    spans = collector.wait_for(
        TRACE,
        "manypath_api.v1.EncoderService/Process",
        "manypath_api.v1.DecoderService/Analyze",
        "inference.GRPCInferenceService/ModelInfer",
    )
    named = {(span.service, span.name): span for span in spans}
    infer = named["manypath-worker", "inference.GRPCInferenceService/ModelInfer"]
    assert ancestors(infer, spans) == [
        "worker classification",
        "manypath_api.v1.DecoderService/Analyze",
        "uplink",
        "manypath_api.v1.EncoderService/Process",
        PARENT,
    ]
    process = named["manypath-encoder", "manypath_api.v1.EncoderService/Process"]
    for service, name in (
        ("manypath-encoder", "queue"),
        ("manypath-encoder", "analysis"),
        ("manypath-decoder", "synthesis"),
    ):
        assert PARENT in ancestors(named[service, name], spans)
    assert not any(span.failed for span in spans)
    assert all(0 <= span.seconds <= process.seconds <= took for span in spans)
    for service in traced:
        assert {line["trace_id"] for line in lines(service, TRACE) if line["message"] == "call"} == {TRACE}


def test_a_cameras_frame_is_one_trace_over_both_streams_to_the_worker(traced, collector, tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "one.png").write_bytes(as_file(photo()).file)
    options = {
        "--source": folder,
        "--encoder": traced[0].target,
        "--task": "classification",
        "--spool": tmp_path / "spool",
        "--metrics-port": 0,
        "--tracing": f"http://127.0.0.1:{collector.port}",
    }
    command = [sys.executable, "-c", CAMERA, "camera", *(str(word) for pair in options.items() for word in pair)]
    with subprocess.Popen(
        command, stderr=subprocess.DEVNULL, env=os.environ | {"OMP_WAIT_POLICY": "PASSIVE"}
    ) as camera:
        try:
            spans = collector.wait_for_any(
                "capture", "inference.GRPCInferenceService/ModelInfer", "synthesis", "analysis"
            )
            spans = collector.wait_for(spans[0].trace)  # the parents of all
        finally:
            camera.terminate()
    assert camera.returncode == 0
    named = {(span.service, span.name): span for span in spans}
    # a stream lives as long as its connection: the trace is the frame's, on both of them
    infer = named["manypath-worker", "inference.GRPCInferenceService/ModelInfer"]
    assert ancestors(infer, spans) == ["worker classification", "frame", "frame", "capture", ""]
    assert named["manypath-decoder", "frame"].parent == named["manypath-encoder", "frame"].span
    assert named["manypath-encoder", "frame"].parent == named["manypath-camera", "capture"].span
    assert not any(span.failed for span in spans)


def test_a_latency_leads_to_a_trace(traced, encoder, collector):
    encoder.GetCapabilities(pb.GetCapabilitiesRequest(), timeout=SECONDS)
    wanted = urllib.request.Request(traced[0].metrics_url, headers={"Accept": "application/openmetrics-text"})  # noqa: S310
    with urllib.request.urlopen(wanted, timeout=SECONDS) as page:  # noqa: S310
        found = [line for line in page.read().decode().splitlines() if "grpc_server_handling_seconds_bucket" in line]
    exemplars = {line.partition('# {trace_id="')[2][:32] for line in found} - {""}
    assert exemplars
    for trace in exemplars:
        assert collector.wait_for(trace)


def test_what_a_caller_does_not_want_kept_is_not_kept_but_named(traced, encoder, collector):
    quiet = "a" * 32
    encoder.GetCapabilities(
        pb.GetCapabilitiesRequest(), timeout=SECONDS, metadata=(("traceparent", f"00-{quiet}-{PARENT}-00"),)
    )
    assert lines(traced[0], quiet)
    # spans go out in order: when those of a later call are there, these are not to come
    later = "b" * 32
    encoder.GetCapabilities(
        pb.GetCapabilitiesRequest(), timeout=SECONDS, metadata=(("traceparent", f"00-{later}-{PARENT}-01"),)
    )
    collector.wait_for(later, "manypath_api.v1.EncoderService/GetCapabilities")
    assert collector.of(quiet) == []


def test_a_call_that_fails_is_a_span_that_failed(encoder, collector):
    trace = "c" * 32
    with pytest.raises(grpc.RpcError):
        encoder.Process(
            pb.ProcessRequest(picture=as_raw(photo()), tasks=[pb.TaskRequest(task_name="juggling")]),
            timeout=SECONDS,
            metadata=(("traceparent", f"00-{trace}-{PARENT}-01"),),
        )
    spans = collector.wait_for(
        trace, "manypath_api.v1.EncoderService/Process", "manypath_api.v1.DecoderService/Analyze"
    )
    failed = {span.name for span in spans if span.failed}
    assert {"manypath_api.v1.EncoderService/Process", "uplink", "manypath_api.v1.DecoderService/Analyze"} <= failed
