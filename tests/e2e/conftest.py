"""All three services as processes, wired to each other, with a small real model behind the worker."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import NamedTuple

import pytest

from manypath_cli.service_process import ServiceProcess
from tests.services.serving import MODEL
from tests.worker.models import colours_graph, light_graph, write_model


class Stack(NamedTuple):
    encoder: ServiceProcess
    decoder: ServiceProcess
    worker: ServiceProcess


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    write_model(folder / "colours", colours_graph(), labels=["red", "green", "blue"])
    write_model(folder / "light", light_graph(), labels=["dark", "light"], task="segmentation")
    return folder


@pytest.fixture(scope="session")
def stack(models) -> Iterator[Stack]:
    with ExitStack() as ends:

        def start(service: str, **settings: object) -> ServiceProcess:
            return ends.enter_context(ServiceProcess(service, settings))

        worker = start("worker", models=models)
        workers = {"classification": f"{worker.target}/colours", "segmentation": f"{worker.target}/light"}
        decoder = start("decoder", model=MODEL, workers=json.dumps(workers))
        encoder = start("encoder", model=MODEL, uplink=decoder.target)
        for process in (worker, decoder, encoder):
            process.wait_ready()
        yield Stack(encoder, decoder, worker)
