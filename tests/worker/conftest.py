"""A repository of small models, and a worker that serves one on a free port."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import grpc
import pytest

from manypath_api.inference import open_inference_pb2_grpc as pb_grpc
from services.worker.model import load_repository
from services.worker.servicer import InferenceServicer
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
    """Serves the repository; gives the target."""

    @asynccontextmanager
    async def serve_repository(
        folder: Path = repository, *, max_batch: int = 4, max_waiting: int = 8, port: int = 0
    ) -> AsyncIterator[str]:
        models = load_repository(folder)
        servicer = InferenceServicer(models, version="test", max_batch=max_batch, max_waiting=max_waiting)
        server = grpc.aio.server(
            options=[
                ("grpc.max_receive_message_length", 64 * 2**20),
                ("grpc.max_send_message_length", 64 * 2**20),
            ]
        )
        pb_grpc.add_GRPCInferenceServiceServicer_to_server(servicer, server)
        port = server.add_insecure_port(f"127.0.0.1:{port}")
        await server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            await server.stop(grace=5)
            servicer.close()

    return serve_repository
