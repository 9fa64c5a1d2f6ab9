"""A client for image classifiers behind any server that speaks the Open Inference Protocol v2 over gRPC.

The model's metadata, read once, decide how a picture travels: as it is where the model takes 8-bit pixels of
any size; cropped, resized and normalised here where it takes floats of its own size. Servers that know the
`classification` extension (our worker, Triton) answer with names; from the others come scores, ranked here.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import NamedTuple, Self, TypeVar

import grpc
import numpy as np
import numpy.typing as npt

from manypath_api.inference import open_inference_pb2 as pb
from manypath_api.inference import open_inference_pb2_grpc as pb_grpc
from services.common.picture_input import Normalisation, PictureInput, PictureInputError
from services.common.settings import MESSAGE_BYTES
from services.common.tensors import Array, TensorError, read_tensor, write_raw

# Unlike calls between our own services these do not wait for a connection: where a worker is away, its caller
# still has a picture to give, and should know soon. Health is not watched: not every server reports it.
# Retries stop in silence above 256 KiB a request unless the buffer is raised; a picture is larger than that.
_CHANNEL_OPTIONS = (
    ("grpc.max_send_message_length", MESSAGE_BYTES),
    ("grpc.max_receive_message_length", MESSAGE_BYTES),
    ("grpc.per_rpc_retry_buffer_size", MESSAGE_BYTES),
    # A worker that restarts is found again within seconds, not within the default's two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    (
        "grpc.service_config",
        json.dumps(
            {
                "loadBalancingConfig": [{"round_robin": {}}],
                "methodConfig": [
                    {
                        "name": [{"service": "inference.GRPCInferenceService"}],
                        "retryPolicy": {
                            "maxAttempts": 4,
                            "initialBackoff": "0.1s",
                            "maxBackoff": "2s",
                            "backoffMultiplier": 2,
                            "retryableStatusCodes": ["UNAVAILABLE", "RESOURCE_EXHAUSTED"],
                        },
                    }
                ],
                "retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1},
            }
        ),
    ),
)
_UNAVAILABLE = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
)
_SCORES = ("FP32", "FP16", "FP64")
_Response = TypeVar("_Response")


class InferenceError(Exception):
    """The server refused the request, or its answer makes no sense."""


class InferenceUnavailable(InferenceError):  # noqa: N818  (it says what the server is, as the status does)
    """The server cannot be reached, is overloaded, or did not answer in time; later it may."""


class Label(NamedTuple):
    """What a classifier says.

    Attributes:
        index: of the class.
        name: of the class; empty if neither the server nor the client knows it.
        score: as the server gives it; a probability from our worker.
    """

    index: int  # type: ignore[assignment]  # hides tuple.index, which a label has no use for
    name: str
    score: float


class _Model(NamedTuple):
    picture: PictureInput
    output: str


class InferenceClient:
    """Asks one model of one server.

    Args:
        target: "host:port", or any address gRPC understands.
        model: its name on the server.
        timeout_seconds: of a call to `classify`, everything included.
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
        if credentials is None:
            self._channel = grpc.aio.insecure_channel(target, options=_CHANNEL_OPTIONS)
        else:
            self._channel = grpc.aio.secure_channel(target, credentials, options=_CHANNEL_OPTIONS)
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

    async def close(self) -> None:
        """Closes the connection; calls under way are cancelled."""
        await self._channel.close(grace=None)

    async def ready(self, *, timeout_seconds: float | None = None) -> bool:
        """Whether the server says that the model is ready; False if it cannot be reached."""
        request = pb.ModelReadyRequest(name=self._model_name)
        try:
            response = await self._stub.ModelReady(request, timeout=timeout_seconds or self._timeout_seconds)
        except grpc.aio.AioRpcError:
            return False
        return bool(response.ready)

    async def classify(
        self,
        image: npt.NDArray[np.uint8],
        top_k: int = 5,
        *,
        timeout_seconds: float | None = None,
        request_id: str = "",
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
        deadline = time.monotonic() + (timeout_seconds or self._timeout_seconds)
        model = await self._describe_model(deadline)
        # Preparing a large picture takes milliseconds, which the event loop does not have.
        request = await asyncio.to_thread(self._request, model, image, top_k, request_id)
        metadata = (("x-request-id", request_id),) if request_id else None
        try:
            response = await self._call(self._stub.ModelInfer, request, deadline, metadata)
        except InferenceError:
            # It may have been replaced by a model that wants something else: look again next time.
            self._model = None
            raise
        return await asyncio.to_thread(self._labels, model, response, top_k)

    async def _describe_model(self, deadline: float) -> _Model:
        async with self._model_lock:
            if self._model is None:
                request = pb.ModelMetadataRequest(name=self._model_name)
                self._model = self._choose(await self._call(self._stub.ModelMetadata, request, deadline))
            return self._model

    def _choose(self, metadata: pb.ModelMetadataResponse) -> _Model:
        """The input that takes the picture and the output that has the classes."""
        if len(metadata.inputs) != 1:
            names = [tensor.name for tensor in metadata.inputs]
            raise self._error(f"has inputs {names}, a classifier of pictures has one")
        tensor = metadata.inputs[0]
        try:
            picture = PictureInput.from_metadata(
                tensor.name, tensor.datatype, tuple(tensor.shape), normalisation=self._normalisation
            )
        except PictureInputError as err:
            raise self._error(f"does not take pictures: {err}") from err
        outputs = [tensor.name for tensor in metadata.outputs if tensor.datatype in _SCORES]
        if not outputs:
            found = {tensor.name: tensor.datatype for tensor in metadata.outputs}
            raise self._error(f"has outputs {found}, a classifier has one of {', '.join(_SCORES)}")
        return _Model(picture, outputs[0])

    def _request(
        self, model: _Model, image: npt.NDArray[np.uint8], top_k: int, request_id: str
    ) -> pb.ModelInferRequest:
        try:
            tensor = model.picture.prepare(image)
        except PictureInputError as err:
            raise InferenceError(str(err)) from err
        if tensor.nbytes > MESSAGE_BYTES - 2**16:
            raise InferenceError(
                f"image of {list(image.shape)} needs {tensor.nbytes} bytes, a message holds {MESSAGE_BYTES}"
            )
        request = pb.ModelInferRequest(model_name=self._model_name, id=request_id)
        request.inputs.add(name=model.picture.name, datatype=model.picture.datatype, shape=tensor.shape)
        request.raw_input_contents.append(write_raw(tensor))
        request.outputs.add(name=model.output).parameters["classification"].int64_param = top_k
        return request

    def _labels(self, model: _Model, response: pb.ModelInferResponse, top_k: int) -> list[Label]:
        raw = response.raw_output_contents
        for position, tensor in enumerate(response.outputs):
            if tensor.name != model.output:
                continue
            if raw and len(raw) != len(response.outputs):
                raise self._error(f"answered {len(response.outputs)} outputs with {len(raw)} raw contents")
            try:
                array = read_tensor(tensor, raw[position] if raw else None)
            except TensorError as err:
                raise self._error(f"answered nonsense: {err}") from err
            if array.size != array.shape[-1]:
                raise self._error(f"answered {list(array.shape)} for one picture, expected [1, classes]")
            return self._parse(array.ravel()) if array.dtype == object else self._rank(array.ravel(), top_k)
        raise self._error(f"answered {[tensor.name for tensor in response.outputs]}, not {model.output!r}")

    def _parse(self, lines: Array) -> list[Label]:
        """Reads Triton's "score:index:label", where ":label" may be missing."""
        found: list[Label] = []
        for line in lines:
            score, _, rest = line.decode("utf-8", errors="replace").partition(":")
            index, _, name = rest.partition(":")
            try:
                found.append(Label(int(index), name or self._name(int(index)), float(score)))
            except ValueError as err:
                raise self._error(f"answered {line[:80]!r}, expected score:index:label") from err
        return found

    def _rank(self, scores: Array, top_k: int) -> list[Label]:
        order = np.argsort(-scores, kind="stable")[:top_k]
        return [Label(int(index), self._name(int(index)), float(scores[index])) for index in order]

    def _name(self, index: int) -> str:
        return self._names[index] if 0 <= index < len(self._names) else ""

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
            text = f"{err.code().name}: {err.details()}"
            if err.code() in _UNAVAILABLE:
                raise InferenceUnavailable(f"inference server {self._target}: {text}") from err
            raise self._error(f"refused: {text}") from err

    def _error(self, what: str) -> InferenceError:
        return InferenceError(f"model {self._model_name!r} at {self._target} {what}")
