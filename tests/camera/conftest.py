"""Real servers, an edge in front of them, and a wire between that can be cut."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from manypath.codec import Codec
from manypath_camera.agent import CameraClient
from manypath_camera.configuration import Configuration
from manypath_camera.errors import SpoolLockedError
from manypath_camera.spool import Spool
from manypath_services.common.client import ENCODER_SERVICE, connect
from tests.camera.edge import Edge
from tests.camera.proxy import CuttingProxy
from tests.camera.waiting import wait_for
from tests.services.conftest import loop, start  # noqa: F401
from tests.services.serving import MODEL, photo


@pytest.fixture(scope="session")
def stream() -> bytes:
    """A bitstream of the test preset."""
    return Codec.load(MODEL).encode(photo(40, 48))


@pytest.fixture
def edges(loop, tmp_path) -> Iterator[object]:  # noqa: F811
    """Makes edges that end with the test; an edge of a name has one folder, however often it is made."""
    with ExitStack() as ends:

        def make(target: str, *, pictures: bool = False, name: str = "edge", **options: object) -> Edge:
            edge = Edge(loop, tmp_path / name, target, pictures=pictures, **options)
            ends.callback(edge.close)
            return edge

        yield make


@pytest.fixture
def cutting() -> Iterator[object]:
    """Makes proxies that end with the test."""
    with ExitStack() as ends:

        def make(target: str) -> CuttingProxy:
            proxy = CuttingProxy(target)
            ends.callback(proxy.close)
            return proxy

        yield make


@pytest.fixture
def run_client(loop, tmp_path):  # noqa: F811
    """Runs a client in this process until the test ends."""
    running = []

    def start_one(target, cameras, **whole):
        configuration = Configuration.model_validate({"encoder": target, "cameras": cameras} | whole)
        client = CameraClient(
            tmp_path / "frames", configuration, lambda address: connect(address, ENCODER_SERVICE, stream=True)
        )
        running.append(loop.start(client.run()))
        return client

    yield start_one
    for future in running:
        future.cancel()
    wait_for(lambda: not (tmp_path / "frames").exists() or _is_free(tmp_path / "frames"))


def _is_free(folder):
    try:
        Spool(folder).close()
    except SpoolLockedError:
        return False
    return True
