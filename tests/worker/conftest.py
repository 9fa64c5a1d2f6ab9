"""A repository of small models, and a worker that serves one on a free port."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from manypath_api.inference import open_inference_pb2_grpc as pb_grpc
from manypath_services.common.compute import Compute
from manypath_services.common.server import Server
from manypath_services.worker.metrics import WorkerMetrics
from manypath_services.worker.model import load_repository
from manypath_services.worker.servicer import SERVICE, InferenceServicer
from manypath_services.worker.settings import WorkerSettings
from tests.worker.models import colours_graph, prepared_graph, write_model

Serve = Callable[..., AbstractAsyncContextManager[str]]


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models: "colours" takes 8-bit pixels of any size, "prepared" takes floats."""
    folder = tmp_path_factory.mktemp("models")
    write_model(folder / "colours", colours_graph(), labels=["red", "green", "blue: of the sky"])
    write_model(folder / "prepared", prepared_graph())
    return folder


@pytest.fixture
def serve(repository: Path) -> Serve:
    """Serves a repository in this process, as the worker's own does; gives the target."""

    @asynccontextmanager
    async def serve_repository(
        folder: Path = repository, *, port: int = 0, max_batch: int = 4, queue_limit: int = 8, **settings_: Any
    ) -> AsyncIterator[str]:
        settings = WorkerSettings.load(
            host="127.0.0.1",
            port=port,
            metrics_port=0,
            models=folder,
            max_batch=max_batch,
            queue_limit=queue_limit,
            drain_seconds=0,
            **settings_,
        )
        metrics = WorkerMetrics("test")
        compute = Compute.of(settings, metrics)
        servicer = InferenceServicer(load_repository(folder), compute, metrics, version="test", limits=settings.limits)
        server = Server(settings, metrics, [SERVICE])
        pb_grpc.add_GRPCInferenceServiceServicer_to_server(servicer, server.grpc)
        await server.start()
        await server.become_ready()
        try:
            yield f"127.0.0.1:{server.port}"
        finally:
            await server.stop()
            compute.close()

    return serve_repository
