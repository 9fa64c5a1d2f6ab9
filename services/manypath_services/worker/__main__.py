"""Runs the worker: ``python -m manypath_services.worker``, told what to do by ``MANYPATH_WORKER_*``."""

from __future__ import annotations

import logging
import sys
import time

from manypath_services.common import entry, process
from manypath_services.worker.settings import WorkerSettings

_log = logging.getLogger(__name__)


async def serve(settings: WorkerSettings) -> None:
    """Load the models, serve until a signal, and end without losing a request.

    Raises:
        ModelError: a model cannot be served.
        OSError: a port is taken.
    """
    # only here: onnxruntime reads the environment that entry.run prepares
    from manypath_api.inference import open_inference_pb2_grpc as pb_grpc
    from manypath_services.common.compute import Compute
    from manypath_services.common.server import Server, until_signal
    from manypath_services.worker.metrics import WorkerMetrics
    from manypath_services.worker.model import load_repository
    from manypath_services.worker.servicer import SERVICE, InferenceServicer

    version = entry.version()
    metrics = WorkerMetrics(version)
    begun = time.monotonic()
    models = load_repository(settings.models, only=settings.only, device=settings.device, threads=settings.threads)
    metrics.model_load.set(time.monotonic() - begun)
    for name, model in models.items():
        digest = model.manifest.sha256
        metrics.describe(model=name, model_digest=digest[:8], device=settings.device)
        extra = {"model": name, "sha256": digest, "execution_providers": model.providers}
        _log.info("model loaded", extra=extra)

    compute = Compute.of(settings, metrics)
    servicer = InferenceServicer(models, compute, metrics, version=version, limits=settings.limits)
    server = Server(settings, metrics, [SERVICE])
    pb_grpc.add_GRPCInferenceServiceServicer_to_server(servicer, server.grpc)  # type: ignore[no-untyped-call]
    await server.start()
    process.settle()
    await server.become_ready()
    await until_signal(settings)
    servicer.draining = True
    await server.stop(compute.abandon)
    compute.close(timeout_seconds=1.0)


def main() -> int:
    """Return the process's exit code."""
    return entry.run("worker", WorkerSettings, serve)


if __name__ == "__main__":
    sys.exit(main())
