"""A client for networks that look at pictures, behind any server that speaks the Open Inference Protocol v2 over gRPC.

The model's metadata, read once, decide how a picture travels: as it is where the model takes 8-bit pixels of
any size; resized and normalised here where it takes floats of its own size. Servers that know the
`classification` extension (our worker, Triton) answer with names; from the others come scores, ranked here.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import NamedTuple, Self, TypeVar

import grpc
import numpy as np
import numpy.typing as npt

from manypath_api.inference import open_inference_pb2 as pb
from manypath_api.inference import open_inference_pb2_grpc as pb_grpc
from manypath_services.common import tracing
from manypath_services.common.client import INFERENCE_SERVICE, channel_options, open_channel, through_proxy
from manypath_services.common.errors import ServiceError
from manypath_services.common.settings import MESSAGE_BYTES
from manypath_services.inference.detection import BoxesFound, Detect, DetectorTensors
from manypath_services.inference.picture_input import Normalisation, PictureInput, PictureInputError
from manypath_services.inference.tasks import (
    AnswerError,
    Classify,
    ClassMap,
    Everything,
    Kind,
    Label,
    Output,
    Question,
    Segment,
    kind_of,
)
from manypath_services.inference.tensors import TensorError, read_tensor, write_raw

__all__ = [
    "BoxesFound",
    "ClassMap",
    "Detect",
    "DetectorTensors",
    "InferenceClient",
    "InferenceError",
    "InferenceUnavailable",
    "Kind",
    "Label",
    "Output",
]

_UNAVAILABLE = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
)
_FAULTS = (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.DATA_LOSS)
# gRPC says so itself of what is larger than this end takes; it would be as large again
_TOO_MUCH = ("larger than max", "metadata size exceeds")
_MOST_DETAILS = 500  # characters of another server's words
_MOST_OUTPUTS = 64
_MOST_TEXTS = 10_000  # elements of an answer of texts
_Response = TypeVar("_Response")
_Answer = TypeVar("_Answer")
Image = npt.NDArray[np.uint8]
LONGEST_SIDE = 480
"""Pixels of the longest side that a segmenter of any size is given; ours was trained on pictures of that size."""


class InferenceError(ServiceError):
    """The server refused the request, or its answer makes no sense."""

    code = grpc.StatusCode.FAILED_PRECONDITION
    answered: grpc.StatusCode | None = None
    """What the server itself said, if it said anything."""


class InferenceUnavailable(InferenceError):  # noqa: N818  (it says what the server is, as the status does)
    """The server cannot be reached, is overloaded, or did not answer in time; later it may."""

    code = grpc.StatusCode.UNAVAILABLE


class _Model(NamedTuple):
    picture: PictureInput
    outputs: Sequence[pb.ModelMetadataResponse.TensorMetadata]


class InferenceClient:
    """Asks one model of one server.

    Args:
        target: "host:port", or any address gRPC understands.
        model: its name on the server.
        timeout_seconds: of a call, everything included.
        names: class names by index, for servers that do not send them.
        normalisation: for models that take floats.
        credentials: for TLS; without them the channel is plain.

    Safe to share between tasks of one event loop. Use as `async with`, or call `close`.
    """

    def __init__(
        self,
        target: str,
        model: str,
        *,
        timeout_seconds: float,
        names: Sequence[str] = (),
        normalisation: Normalisation | None = None,
        credentials: grpc.ChannelCredentials | None = None,
    ) -> None:
        self._target = target
        self._model_name = model
        self._timeout_seconds = timeout_seconds
        self._names = tuple(names)
        self._normalisation = normalisation or Normalisation()
        # Unlike calls between our own services these do not wait for a connection: where a worker is away, its caller
        # still has a picture to give, and should know soon. Health is not watched: not every server reports it.
        options = channel_options(INFERENCE_SERVICE, wait_for_ready=False, watch_health=False)
        self._channel = open_channel(target, options, credentials)
        self._stub = pb_grpc.GRPCInferenceServiceStub(self._channel)  # type: ignore[no-untyped-call]
        self._model: _Model | None = None
        self._model_lock = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self, grace_seconds: float = 0.0) -> None:
        """Closes the connection; calls under way are cancelled after their grace."""
        await self._channel.close(grace_seconds or None)

    async def ready(self, *, timeout_seconds: float | None = None) -> bool:
        """Whether the server says that the model is ready; False if it cannot be reached."""
        request = pb.ModelReadyRequest(name=self._model_name)
        try:
            response = await self._stub.ModelReady(request, timeout=timeout_seconds or self._timeout_seconds)
        except grpc.aio.AioRpcError:
            return False
        return bool(response.ready)

    async def kind(
        self,
        *,
        detector: DetectorTensors = DetectorTensors(),  # noqa: B008  immutable
        timeout_seconds: float | None = None,
    ) -> Kind:
        """What the model is, by its outputs; a model that has those called as a `detector`'s is one.

        Raises:
            InferenceUnavailable: the server is not there, overloaded or too slow.
            InferenceError: the model is not there, or does not take pictures.
        """
        model = await self._describe_model(self._deadline(timeout_seconds))
        return Kind.DETECTOR if detector.wanted(model.outputs) else kind_of(model.outputs)

    async def classify(
        self, image: Image, top_k: int = 5, *, timeout_seconds: float | None = None, request_id: str = ""
    ) -> list[Label]:
        """Asks what is in a picture.

        Args:
            image: uint8 [H, W, 3], RGB.
            top_k: how many labels, at least 1.
            timeout_seconds: of this call, if the client's own does not fit.
            request_id: sent along, for the server's log.

        Returns:
            The labels, best first; fewer than `top_k` only if the model has fewer classes.

        Raises:
            InferenceUnavailable: the server is not there, overloaded or too slow.
            InferenceError: the model does not take pictures, the server refused the request, or its answer
                makes no sense.
        """
        if top_k < 1:
            raise InferenceError(f"top_k must be at least 1, got {top_k}")
        return await self._ask(Classify(top_k, self._names), image, timeout_seconds, request_id)

    async def segment(
        self,
        image: Image,
        *,
        longest_side: int = LONGEST_SIDE,
        timeout_seconds: float | None = None,
        request_id: str = "",
    ) -> ClassMap:
        """Asks which class each pixel of a picture belongs to; see `classify`.

        A picture of more than `longest_side` pixels is shrunk before it is sent, one of a model that has a size of
        its own to that size; the mask is enlarged again.
        """
        return await self._ask(Segment(longest_side), image, timeout_seconds, request_id)

    async def detect(
        self, image: Image, question: Detect, *, timeout_seconds: float | None = None, request_id: str = ""
    ) -> BoxesFound:
        """Asks where things are in a picture; see `classify`."""
        return await self._ask(question, image, timeout_seconds, request_id)

    async def infer(
        self, image: Image, *, timeout_seconds: float | None = None, request_id: str = ""
    ) -> dict[str, Output]:
        """Returns whatever the model gives for a picture, by output; see `classify`."""
        model = await self._describe_model(self._deadline(timeout_seconds))
        names = tuple(tensor.name for tensor in model.outputs)
        return dict(zip(names, await self._ask(Everything(names), image, timeout_seconds, request_id), strict=True))

    async def _ask(
        self, question: Question[_Answer], image: Image, timeout_seconds: float | None, request_id: str
    ) -> _Answer:
        deadline = self._deadline(timeout_seconds)
        model = await self._describe_model(deadline)
        try:
            outputs = question.outputs(model.outputs)
        except AnswerError as err:
            raise self._error(str(err)) from err
        # Preparing a large picture takes milliseconds, which the event loop does not have.
        request = await asyncio.to_thread(self._request, model, question, outputs, image, request_id)
        metadata = ((("x-request-id", request_id),) if request_id else ()) + tracing.headers()
        try:
            response = await self._call(self._stub.ModelInfer, request, deadline, metadata)
        except InferenceError:
            # It may have been replaced by a model that wants something else: look again next time.
            self._model = None
            raise
        return await asyncio.to_thread(self._answer, question, outputs, response, image)

    def _deadline(self, timeout_seconds: float | None) -> float:
        return time.monotonic() + (timeout_seconds or self._timeout_seconds)

    async def _describe_model(self, deadline: float) -> _Model:
        async with self._model_lock:
            if self._model is None:
                request = pb.ModelMetadataRequest(name=self._model_name)
                self._model = self._choose(await self._call(self._stub.ModelMetadata, request, deadline))
            return self._model

    def _choose(self, metadata: pb.ModelMetadataResponse) -> _Model:
        """The input that takes the picture."""
        if len(metadata.outputs) > _MOST_OUTPUTS:
            raise self._error(f"has {len(metadata.outputs)} outputs, accepted are {_MOST_OUTPUTS}")
        if len(metadata.inputs) != 1:
            names = [tensor.name[:80] for tensor in metadata.inputs[:8]]
            raise self._error(f"has inputs {names}, a network for pictures has one")
        tensor = metadata.inputs[0]
        try:
            picture = PictureInput.from_metadata(
                tensor.name, tensor.datatype[:16], tuple(tensor.shape[:9]), normalisation=self._normalisation
            )
        except PictureInputError as err:
            raise self._error(f"does not take pictures: {err}") from err
        return _Model(picture, tuple(metadata.outputs))

    def _request(
        self, model: _Model, question: Question[object], outputs: Sequence[str], image: Image, request_id: str
    ) -> pb.ModelInferRequest:
        try:
            tensor = question.tensor(model.picture, image)
        except PictureInputError as err:
            raise InferenceError(str(err)) from err
        if tensor.nbytes > MESSAGE_BYTES - 2**16:
            raise InferenceError(
                f"image of {list(image.shape)} needs {tensor.nbytes} bytes, a message holds {MESSAGE_BYTES}"
            )
        request = pb.ModelInferRequest(model_name=self._model_name, id=request_id)
        request.inputs.add(name=model.picture.name, datatype=model.picture.datatype, shape=tensor.shape)
        request.raw_input_contents.append(write_raw(tensor))
        for name in outputs:
            question.mark(request.outputs.add(name=name))
        return request

    def _answer(
        self, question: Question[_Answer], wanted: Sequence[str], response: pb.ModelInferResponse, image: Image
    ) -> _Answer:
        if len(response.outputs) > _MOST_OUTPUTS:
            raise self._error(f"answered {len(response.outputs)} outputs, accepted are {_MOST_OUTPUTS}")
        raw = response.raw_output_contents
        if raw and len(raw) != len(response.outputs):
            raise self._error(f"answered {len(response.outputs)} outputs with {len(raw)} raw contents")
        outputs: dict[str, Output] = {}
        try:
            for position, tensor in enumerate(response.outputs):
                if tensor.name in wanted:
                    if tensor.datatype == "BYTES" and math.prod(tensor.shape[:9]) > _MOST_TEXTS:
                        raise self._error(f"answered {list(tensor.shape[:9])} texts, accepted are {_MOST_TEXTS}")
                    array = read_tensor(tensor, raw[position] if raw else None)
                    outputs[tensor.name] = Output(array, tensor.parameters)
            missing = [name for name in wanted if name not in outputs]
            if missing:
                raise self._error(f"answered {[tensor.name for tensor in response.outputs]}, not {missing[0]!r}")
            return question.answer([outputs[name] for name in wanted], image)
        except TensorError as err:
            raise self._error(f"answered nonsense: {err}") from err
        except AnswerError as err:
            raise self._error(str(err)) from err

    async def _call(
        self,
        method: Callable[..., Awaitable[_Response]],
        request: object,
        deadline: float,
        metadata: Sequence[tuple[str, str]] | None = None,
    ) -> _Response:
        remaining = max(0.0, deadline - time.monotonic())
        try:
            return await method(request, timeout=remaining, metadata=metadata)
        except grpc.aio.AioRpcError as err:
            raise self._failure(err) from err

    def _failure(self, err: grpc.aio.AioRpcError) -> InferenceError:
        details = (err.details() or "")[:_MOST_DETAILS]
        text = f"{err.code().name}: {details}"
        if err.code() in _UNAVAILABLE and not any(sign in details for sign in _TOO_MUCH):
            failure: InferenceError = InferenceUnavailable(
                f"model {self._model_name!r} at inference server {self._target}: {text}{through_proxy(self._target)}"
            )
        else:
            failure = self._error(f"refused: {text}")
            if err.code() in _FAULTS:
                failure.code = grpc.StatusCode.INTERNAL
        failure.answered = err.code()
        return failure

    def _error(self, what: str) -> InferenceError:
        return InferenceError(f"model {self._model_name!r} at {self._target} {what}")
