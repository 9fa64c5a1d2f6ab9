"""The decoder's workers: one for each task that it was told of."""

from __future__ import annotations

import asyncio
import time
from typing import NamedTuple, TypedDict

import numpy as np
import numpy.typing as npt

from manypath import DecodePath, RequestError
from manypath_api.v1 import codec_pb2 as pb
from manypath_services.codec.metrics import CodecMetrics
from manypath_services.common import logs, tracing
from manypath_services.common.downstream import Downstream
from manypath_services.common.errors import UnsupportedError
from manypath_services.common.security import client_security
from manypath_services.common.tls import Renewed
from manypath_services.decoder import answers
from manypath_services.decoder.settings import DecoderSettings, WorkerAddress
from manypath_services.inference.client import (
    BoxesFound,
    ClassMap,
    Detect,
    InferenceClient,
    Kind,
    Label,
    Output,
)
from manypath_services.inference.detection import MIN_SCORE, MOST_BOXES

Image = npt.NDArray[np.uint8]
_NAMES = {
    pb.TASK_CLASSIFICATION: DecodePath.CLASSIFICATION.value,
    pb.TASK_SEGMENTATION: DecodePath.SEGMENTATION.value,
    pb.TASK_DETECTION: DecodePath.DETECTION.value,
}
_NUMBERS = {name: number for number, name in _NAMES.items()}
_KINDS = {
    DecodePath.CLASSIFICATION.value: Kind.CLASSIFIER,
    DecodePath.SEGMENTATION.value: Kind.SEGMENTER,
    DecodePath.DETECTION.value: Kind.DETECTOR,
}
_MAX_LABELS = 1000  # and boxes
_MAX_CLASSES, _MAX_CLASS_NAME = 1000, 200  # of a request
_DEFAULT_LABELS = 5


Found = list[Label] | ClassMap | BoxesFound | dict[str, Output]


class _Call(TypedDict):
    timeout_seconds: float
    request_id: str


class Answer(NamedTuple):
    """What a worker said.

    Attributes:
        result: the answer, without its route.
        seconds: from asking to the answer.
    """

    result: pb.TaskResult
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
        self._clients: dict[WorkerAddress, Renewed[InferenceClient]] = {}
        self._downstreams: dict[str, Downstream] = {}
        self._security = client_security(
            settings, metrics, tls=settings.workers_tls, token_file=settings.workers_token_file
        )

    @property
    def tasks(self) -> list[str]:
        """Names of the tasks that have a worker."""
        return sorted(self._settings.workers, key=lambda name: (name not in _NUMBERS, name))

    def task_of(self, request: pb.TaskRequest) -> str:
        """Return the name of a task that has a worker.

        Raises:
            RequestError: no such task, or two different ones.
            UnsupportedError: no worker is configured for it.
        """
        name = _NAMES.get(request.task, "")
        if request.task_name:
            if request.task != pb.TASK_UNSPECIFIED and name != request.task_name:
                number = pb.Task.Name(request.task) if request.task in pb.Task.values() else str(request.task)
                raise RequestError(f"task is {number} and task_name {request.task_name[:40]!r}; give one of them")
            name = request.task_name
        _check_wishes(request)
        if name in self._settings.workers:
            return name
        have = ", ".join(self.tasks) or "none"
        if name in _NUMBERS:
            raise UnsupportedError(
                f"task {name!r} has no worker here, configured is {have}; set MANYPATH_DECODER_WORKERS"
            )
        shown = repr(name[:40]) if name else f"task {request.task}"
        raise RequestError(f"a task must be one of {have} here; got {shown}")

    async def ask(
        self, request: pb.TaskRequest, image: Image, *, raw_mask: bool, remaining_seconds: float | None
    ) -> Answer:
        """Ask the task's worker about a picture.

        Args:
            request: a task that ``task_of`` let pass.
            image: uint8 [H, W, 3].
            raw_mask: a mask travels uncompressed, not as PNG.
            remaining_seconds: until the caller's deadline; None if there is none.

        Raises:
            InferenceUnavailable: it cannot be reached, or not in time.
            InferenceError: it refused, or its answer makes no sense.
            OverloadedError: too many calls wait for it.
            DownstreamAwayError: it is known to be away.
        """
        task = self.task_of(request)
        address = self._settings.worker(task)
        if address is None:
            raise UnsupportedError(f"{task} has no worker here")
        limit = self._settings.worker_timeout_seconds
        timeout = limit if remaining_seconds is None else max(0.001, min(limit, remaining_seconds))
        begun = time.perf_counter()
        downstream = self._downstream(task, address)
        with downstream.place(), tracing.span(f"worker {task}", kind="client", model=address.model):
            async with downstream.call():
                found = await self._find(self._client(address), task, request, image, begun + timeout)
        seconds = time.perf_counter() - begun
        # a large mask takes milliseconds to compress, which the event loop does not have
        result = await asyncio.to_thread(_message, found, request, image, raw_mask=raw_mask)
        result.task = _NUMBERS.get(task, pb.TASK_UNSPECIFIED)
        result.task_name = task
        result.model = address.model
        result.worker_seconds = seconds
        return Answer(result, seconds)

    async def _find(
        self, client: InferenceClient, task: str, request: pb.TaskRequest, image: Image, until: float
    ) -> Found:
        """Ask what fits the task; of a user's own, what fits the model behind it."""

        def call() -> _Call:
            return {"timeout_seconds": max(0.001, until - time.perf_counter()), "request_id": logs.request_id.get()}

        tensors = self._settings.detector_names
        kind = _KINDS.get(task) or await client.kind(detector=tensors, timeout_seconds=call()["timeout_seconds"])
        if kind is Kind.CLASSIFIER:
            return await client.classify(image, min(request.top_k or _DEFAULT_LABELS, _MAX_LABELS), **call())
        if kind is Kind.SEGMENTER:
            return await client.segment(image, longest_side=self._settings.segmenter_side, **call())
        if kind is Kind.DETECTOR:
            question = Detect(
                self._settings.detector_side,
                min_score=request.min_score if request.HasField("min_score") else MIN_SCORE,
                classes=request.classes,
                most=min(request.top_k or MOST_BOXES, _MAX_LABELS),
                tensors=tensors,
            )
            return await client.detect(image, question, **call())
        return await client.infer(image, **call())

    async def close(self) -> None:
        """Hang up."""
        for client in self._clients.values():
            await client.close()

    def _downstream(self, task: str, address: WorkerAddress) -> Downstream:
        downstream = self._downstreams.get(task)
        if downstream is None:
            downstream = self._downstreams[task] = Downstream(
                task,
                f"the worker {address.model!r} at {address.target}",
                limit=self._settings.worker_limit,
                calls=self._metrics.downstream,
                under_way=self._metrics.downstream_under_way,
                refusals=self._metrics.refusals,
            )
        return downstream

    def _client(self, address: WorkerAddress) -> InferenceClient:
        renewed = self._clients.get(address)
        if renewed is None:
            renewed = Renewed(
                lambda credentials: InferenceClient(
                    address.target,
                    address.model,
                    timeout_seconds=self._settings.worker_timeout_seconds,
                    credentials=credentials,
                ),
                InferenceClient.close,
                certificates=self._security.certificates,
                token=self._security.token,
            )
            self._clients[address] = renewed
        return renewed.current()  # made late: a channel belongs to the event loop that runs


def _check_wishes(request: pb.TaskRequest) -> None:
    """Refuse what no detector can be asked, before anything is decoded."""
    if request.HasField("min_score") and not 0.0 <= request.min_score <= 1.0:
        raise RequestError(f"min_score must be in [0, 1], got {request.min_score}")
    if len(request.classes) > _MAX_CLASSES or any(len(name) > _MAX_CLASS_NAME for name in request.classes):
        raise RequestError(
            f"classes must be at most {_MAX_CLASSES} names of at most {_MAX_CLASS_NAME} characters, "
            f"got {len(request.classes)}"
        )


def _message(found: Found, request: pb.TaskRequest, image: Image, *, raw_mask: bool) -> pb.TaskResult:
    if isinstance(found, ClassMap):
        segmentation = answers.segmentation(found, image, raw=raw_mask, overlay=request.overlay)
        return pb.TaskResult(segmentation=segmentation)
    if isinstance(found, BoxesFound):
        return pb.TaskResult(detection=answers.detection(found.boxes, image, overlay=request.overlay))
    if isinstance(found, dict):
        return pb.TaskResult(tensors=answers.tensors(found))
    return pb.TaskResult(classification=answers.classification(found))
