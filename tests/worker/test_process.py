"""The worker as a process: health, reflection, metrics, logs, and an end that loses nothing."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from prometheus_client.parser import text_string_to_metric_families

from manypath_api.inference import open_inference_pb2 as pb
from manypath_api.inference import open_inference_pb2_grpc as pb_grpc
from manypath_services.inference.client import InferenceClient, Label
from manypath_services.worker.servicer import SERVICE
from tests.worker.models import slow_graph, write_model

ROOT = Path(__file__).resolve().parents[2]


class Running(NamedTuple):
    process: subprocess.Popen[str]
    target: str
    metrics_url: str
    log: list[dict[str, Any]]


def environment(**settings: object) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MANYPATH_")}
    given = {f"MANYPATH_WORKER_{name.upper()}": str(value) for name, value in settings.items()}
    return {**inherited, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", **given}


@contextmanager
def running(models: Path, **settings: object) -> Iterator[Running]:
    """A worker that says it is serving; its log goes on being read when it ends."""
    env = environment(models=models, host="127.0.0.1", port=0, metrics_port=0, drain_seconds=0, **settings)
    command = [sys.executable, "-m", "manypath_services.worker"]
    with subprocess.Popen(command, env=env, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            log: list[dict[str, Any]] = []
            for line in process.stderr:
                log.append(json.loads(line))
                if log[-1]["message"] == "serving":
                    break
            ports = next(line for line in log if line["message"] == "listening")
            metrics_url = f"http://127.0.0.1:{ports['metrics_port']}/metrics"
            yield Running(process, f"127.0.0.1:{ports['port']}", metrics_url, log)
        finally:
            process.kill()


def metric(url: str, name: str, **labels: str) -> float:
    """The value of one sample."""
    with urllib.request.urlopen(url, timeout=10) as response:  # noqa: S310  (our own http)
        families = text_string_to_metric_families(response.read().decode())
    found = [
        sample.value
        for family in families
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    ]
    assert len(found) == 1, found
    return found[0]


def test_a_worker_process_serves_reports_and_ends(repository: Path) -> None:
    image = np.full((40, 60, 3), (0, 102, 51), np.uint8)

    async def use(worker: Running) -> tuple[list[Label], set[str], dict[str, int]]:
        async with InferenceClient(worker.target, "colours", timeout_seconds=20) as client:
            labels = await client.classify(image, 2, request_id="camera-7")
        async with grpc.aio.insecure_channel(worker.target) as channel:
            health = health_pb2_grpc.HealthStub(channel)
            states = {
                name: (await health.Check(health_pb2.HealthCheckRequest(service=name))).status for name in ("", SERVICE)
            }
            reflection = reflection_pb2_grpc.ServerReflectionStub(channel)
            request = reflection_pb2.ServerReflectionRequest(list_services="")
            names = {
                service.name
                async for response in reflection.ServerReflectionInfo(iter([request]))
                for service in response.list_services_response.service
            }
        return labels, names, states

    with running(repository) as worker:
        labels, names, states = asyncio.run(use(worker))
        assert labels == [Label(1, "green", 0.4), Label(2, "blue: of the sky", 0.2)]
        assert SERVICE in names
        assert set(states.values()) == {health_pb2.HealthCheckResponse.SERVING}
        handled = {"grpc_service": SERVICE, "grpc_method": "ModelInfer", "grpc_code": "OK"}
        assert metric(worker.metrics_url, "grpc_server_handled_total", **handled) == 1
        network = {"model": "colours", "provider": "CPUExecutionProvider"}
        assert metric(worker.metrics_url, "manypath_worker_inference_seconds_count", **network) == 1
        assert metric(worker.metrics_url, "manypath_build_info", model="colours", device="cpu") == 1

        worker.process.send_signal(signal.SIGTERM)
        _, rest = worker.process.communicate(timeout=30)
        assert worker.process.returncode == 0
        log = worker.log + [json.loads(line) for line in rest.splitlines()]
    loaded = [line for line in log if line["message"] == "model loaded"]
    assert [(line["model"], line["execution_providers"]) for line in loaded] == [
        ("colours", ["CPUExecutionProvider"]),
        ("prepared", ["CPUExecutionProvider"]),
    ]
    calls = [line for line in log if line.get("grpc_method") == "ModelInfer"]
    assert [(line["request_id"], line["grpc_code"]) for line in calls] == [("camera-7", "OK")]
    assert log[-1]["message"] == "stopped"


def test_a_request_that_was_accepted_is_answered_though_the_worker_is_told_to_stop(tmp_path: Path) -> None:
    write_model(tmp_path / "slow", slow_graph())
    request = pb.ModelInferRequest(model_name="slow", raw_input_contents=[np.zeros(1, "<f4").tobytes()])
    request.inputs.add(name="x", datatype="FP32", shape=[1, 1])

    async def use(worker: Running) -> list[Any]:
        async with grpc.aio.insecure_channel(worker.target) as channel:
            stub = pb_grpc.GRPCInferenceServiceStub(channel)
            calls = [asyncio.ensure_future(stub.ModelInfer(request)) for _ in range(3)]
            await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
            worker.process.send_signal(signal.SIGTERM)
            return await asyncio.gather(*calls)

    with running(tmp_path) as worker:
        answers = asyncio.run(use(worker))
        assert [len(answer.raw_output_contents[0]) for answer in answers] == [4, 4, 4]
        worker.process.communicate(timeout=30)
        assert worker.process.returncode == 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"modles": "x"}, "MANYPATH_WORKER_MODLES is not a setting; did you mean MANYPATH_WORKER_MODELS?"),
        (
            {"max_batch": "0"},
            "MANYPATH_WORKER_MAX_BATCH: Input should be greater than or equal to 1, got '0'",
        ),
        ({"device": "tpu"}, "MANYPATH_WORKER_DEVICE: Input should be 'auto', 'cpu' or 'cuda'"),
        (
            {"models": "/nowhere"},
            "model repository /nowhere is not a folder; `manypath lab classifier install --output",
        ),
    ],
)
def test_a_worker_that_cannot_start_says_why(settings: dict[str, str], message: str) -> None:
    command = [sys.executable, "-m", "manypath_services.worker"]
    ran = subprocess.run(command, env=environment(**settings), cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert message in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_model_whose_bytes_changed_is_not_served(repository: Path, tmp_path: Path) -> None:
    folder = tmp_path / "colours"
    folder.mkdir()
    for path in (repository / "colours").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    graph = bytearray((folder / "model.onnx").read_bytes())
    graph[-1] ^= 1
    (folder / "model.onnx").write_bytes(graph)
    command = [sys.executable, "-m", "manypath_services.worker"]
    ran = subprocess.run(
        command, env=environment(models=tmp_path), cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 1
    assert "is not the file its manifest describes: sha256 is" in ran.stderr
