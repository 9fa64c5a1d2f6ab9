"""A trace for each frame of ``manypath camera``: it begins with the capture and goes on in encoder, decoder, worker."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from manypath_cli.exits import UsageError

if TYPE_CHECKING:
    from manypath_api.v1 import codec_pb2 as pb
    from manypath_camera.camera import FrameTracer

_COLLECTOR = re.compile(r"https?://[^\s/]+:\d{1,5}")


@contextmanager
def frame_tracer(collector: str, ratio: float) -> Iterator[FrameTracer]:
    """Return what traces frames, and send what is still kept at the end.

    Args:
        collector: of OpenTelemetry, "http://host:port" or "https://host:port".
        ratio: share of the frames that are kept, 0..1; the header of every frame names its trace, for logs.

    Raises:
        UsageError: the collector's address makes no sense, or the extra ``tracing`` is not installed.
    """
    if _COLLECTOR.fullmatch(collector) is None:
        raise UsageError(f'--tracing takes a collector as "http://host:4317", got {collector!r}')
    if not 0 <= ratio <= 1:
        raise UsageError(f"--tracing-ratio is a share of frames, 0 to 1, got {ratio:g}")
    from manypath_services.common import tracing
    from manypath_services.common.entry import version

    try:
        recorder = tracing.otlp_recorder("camera", collector, ratio=ratio, version=version())
    except ImportError as err:
        raise UsageError(f"--tracing needs an extra that is not here ({err}); pip install 'manypath[tracing]'") from err

    @contextmanager
    def traced(header: pb.FrameHeader) -> Iterator[None]:
        begun_ns = header.time.captured_at.ToNanoseconds()
        facts = {"manypath.camera": header.camera}
        span, trace = recorder.begin("capture", None, kind="producer", attributes=facts, begun_ns=begun_ns)
        header.traceparent = trace.header
        error = ""
        try:
            yield
        except BaseException as err:
            error = f"{type(err).__name__}: {err}"
            raise
        finally:
            span.end({}, error)

    try:
        yield traced
    finally:
        recorder.close()
