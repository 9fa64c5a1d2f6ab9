"""The decoder's workers: one for each task that it was told of."""

from __future__ import annotations

import time
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from manypath.path import Path
from manypath_api.v1 import codec_pb2 as pb
from services.common import logs
from services.common.errors import UnsupportedError
from services.common.inference_client import InferenceClient, InferenceError, InferenceUnavailable
from services.common.metrics import CodecMetrics
from services.decoder.settings import DecoderSettings, WorkerAddress

_TASK_PATHS = {pb.TASK_CLASSIFICATION: Path.CLASSIFICATION, pb.TASK_SEGMENTATION: Path.SEGMENTATION}
_MAX_LABELS = 1000
_DEFAULT_LABELS = 5


class Answer(NamedTuple):
    """What a worker said.

    Attributes:
        model: its name.
        classification: labels, best first.
        seconds: from asking to the answer.
    """

    model: str
    classification: pb.Classification
    seconds: float


class Workers:
    """Asks the worker of a task.

    Args:
        settings: where they are.
        metrics: where calls are counted.
    """

    def __init__(self, settings: DecoderSettings, metrics: CodecMetrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._clients: dict[WorkerAddress, InferenceClient] = {}

    def path_of(self, request: pb.TaskRequest) -> Path:
        """Return the path that serves a task best.

        Raises:
            UnsupportedError: no such task, or no worker is configured for it.
        """
        path = _TASK_PATHS.get(request.task)
        if path is None or self._settings.worker(path.value) is None:
            name = pb.Task.Name(request.task) if request.task in pb.Task.values() else str(request.task)
            have = ", ".join(f"TASK_{task.upper()}" for task in self._settings.workers) or "none"
            raise UnsupportedError(f"{name} has no worker here, configured is {have}; set MANYPATH_DECODER_WORKERS")
        return path

    async def ask(
        self, request: pb.TaskRequest, image: npt.NDArray[np.uint8], remaining_seconds: float | None
    ) -> Answer:
        """Ask the task's worker about a picture.

        Raises:
            InferenceUnavailable: it cannot be reached, or not in time.
            InferenceError: it refused.
        """
        task = self.path_of(request).value
        address = self._settings.worker(task)
        if address is None:
            raise UnsupportedError(f"{task} has no worker here")
        limit = self._settings.worker_timeout_seconds
        timeout = limit if remaining_seconds is None else max(0.001, min(limit, remaining_seconds))
        begun = time.perf_counter()
        code = "OK"
        try:
            labels = await self._client(address).classify(
                image,
                min(request.top_k or _DEFAULT_LABELS, _MAX_LABELS),
                timeout_seconds=timeout,
                request_id=logs.request_id.get(),
            )
        except InferenceUnavailable:
            code = "UNAVAILABLE"
            raise
        except InferenceError:
            code = "FAILED"
            raise
        finally:
            self._metrics.downstream.labels(task, code).inc()
        messages = [pb.Label(index=label.index, name=label.name, score=label.score) for label in labels]
        seconds = time.perf_counter() - begun
        return Answer(address.model, pb.Classification(labels=messages), seconds)

    async def close(self) -> None:
        """Hang up."""
        for client in self._clients.values():
            await client.close()

    def _client(self, address: WorkerAddress) -> InferenceClient:
        client = self._clients.get(address)
        if client is None:  # made late: a channel belongs to the event loop that runs
            client = InferenceClient(
                address.target, address.model, timeout_seconds=self._settings.worker_timeout_seconds
            )
            self._clients[address] = client
        return client
