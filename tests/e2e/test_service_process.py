"""A service as a process of this machine: reached whatever is said of proxies, and honest about its end."""

from __future__ import annotations

import os
import signal

import pytest

from manypath_cli.service_process import ServiceProcess, ServiceProcessError
from tests.services.serving import SECONDS


@pytest.fixture
def closed_proxy(monkeypatch):
    """A proxy that nobody listens at."""
    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "no_grpc_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("closed_proxy")
def test_a_service_on_this_machine_is_never_reached_through_a_proxy(models):
    with ServiceProcess("worker", {"models": models}) as worker:
        worker.wait_ready(SECONDS)


def test_a_service_that_is_stopped_says_so_instead_of_a_time_that_has_not_passed(models):
    with ServiceProcess("worker", {"models": models}) as worker:
        worker.ports(SECONDS)
        os.kill(worker.pid, signal.SIGKILL)
        with pytest.raises(ServiceProcessError, match=r"(ended|cannot be asked).*its last words"):
            worker.wait_ready(SECONDS)
