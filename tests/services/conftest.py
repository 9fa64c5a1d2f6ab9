"""Servers that tests share, and servers of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.services.serving import Loop, Running

Start = Callable[..., Running]


@pytest.fixture(scope="session")
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.close()


@pytest.fixture
def start(loop: Loop) -> Iterator[Start]:
    """Starts a server that ends with the test."""
    with ExitStack() as ends:

        def start_one(kind: str, **options: object) -> Running:
            running = Running(kind, loop, **options)
            ends.callback(running.close)
            return running

        yield start_one


@pytest.fixture(scope="session")
def encoder(loop: Loop) -> Iterator[Running]:
    """An encoder that forwards nothing."""
    running = Running("encoder", loop)
    yield running
    running.close()


@pytest.fixture(scope="session")
def decoder(loop: Loop) -> Iterator[Running]:
    """A decoder without workers."""
    running = Running("decoder", loop)
    yield running
    running.close()
