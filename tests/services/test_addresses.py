"""Where services listen, in every spelling; and an environment that others have set."""

from __future__ import annotations

import os
import pathlib
import socket
import subprocess
import sys
import urllib.request

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from manypath_services.common.settings import SettingsError
from manypath_services.encoder.settings import EncoderSettings
from manypath_services.worker.settings import WorkerSettings
from tests.services.serving import SECONDS

ROOT = pathlib.Path(__file__).resolve().parents[2]


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


@pytest.mark.parametrize("host", ["::1", "[::1]", "0:0:0:0:0:0:0:1", "::", "[::]", "127.0.0.1", "localhost"])
def test_every_spelling_of_an_address_is_listened_on_by_both_ports(start, host):
    if ":" in host and not has_ipv6():
        pytest.skip("this machine has no IPv6")
    running = start("encoder", host=host, metrics_host=host, insecure=True, ready=False)
    asked = "[::1]" if ":" in host else "127.0.0.1"
    with grpc.insecure_channel(f"{asked}:{running.server.port}") as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        status = stub.Check(health_pb2.HealthCheckRequest(service="liveness"), timeout=SECONDS).status
    assert status == health_pb2.HealthCheckResponse.SERVING
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://{asked}:{running.server.metrics_port}/metrics", timeout=SECONDS) as response:
        assert b"manypath" in response.read()


@pytest.mark.parametrize("host", ["unix:e.sock", "run/e.sock", "http://localhost", "localhost:50051", "::g", "[]", " "])
@pytest.mark.parametrize("setting", ["host", "metrics_host"])
def test_what_is_no_address_stops_start_up(setting, host):
    with pytest.raises(SettingsError, match=f"MANYPATH_ENCODER_{setting.upper()}: .*got"):
        EncoderSettings.load(**{setting: host})


def test_a_taken_metrics_port_is_named_with_its_setting(start):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=rf"127\.0\.0\.1:{port} \(settings metrics_host and metrics_port\)"):
            start("encoder", metrics_port=port, ready=False)


@pytest.mark.parametrize("setting", ["tls_ca", "token_file", "uplink_token_file"])
def test_an_empty_path_is_refused(setting):
    with pytest.raises(SettingsError, match=f"MANYPATH_ENCODER_{setting.upper()}: .*is empty"):
        EncoderSettings.load(**{setting: ""})


def test_an_empty_model_repository_is_refused(monkeypatch):
    monkeypatch.setenv("MANYPATH_WORKER_MODELS", "")
    with pytest.raises(SettingsError, match=r"MANYPATH_WORKER_MODELS: .*is empty"):
        WorkerSettings.load()


def test_a_worker_of_a_user_without_a_home_says_which_setting_helps(monkeypatch):
    def homeless() -> pathlib.Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("MANYPATH_CACHE", raising=False)
    monkeypatch.setattr(pathlib.Path, "home", homeless)
    with pytest.raises(SettingsError, match="set MANYPATH_WORKER_MODELS"):
        WorkerSettings.load()
    assert WorkerSettings.load(models="/somewhere").models == pathlib.Path("/somewhere")


def test_a_folder_of_another_services_metrics_is_left_alone():
    """Prometheus' library would keep every gauge in a file of that folder, and end where there is none."""
    script = (
        "from manypath_services.common import process; process.prepare(1)\n"
        "from manypath_services.codec.metrics import CodecMetrics\n"
        "CodecMetrics('encoder', 'test')"
    )
    path = os.pathsep.join([str(ROOT / "services"), str(ROOT / "src")])
    subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": path, "PROMETHEUS_MULTIPROC_DIR": "/nonexistent/x"},
        check=True,
        timeout=60,
    )
