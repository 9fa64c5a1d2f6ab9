"""The Open Inference Protocol v2 over models in memory."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from manypath_api.inference import open_inference_pb2 as pb
from manypath_api.inference import open_inference_pb2_grpc as pb_grpc
from services.common.tensors import TensorError
from services.worker.inference import infer
from services.worker.model import InputError, Model, TensorSpec

Context = grpc.aio.ServicerContext[Any, Any]


class InferenceServicer(pb_grpc.GRPCInferenceServiceServicer):
    """Answers about models, and runs them outside the event loop.

    Args:
        models: by name.
        version: of this software.
        max_batch: largest first axis of an input.
        max_waiting: requests that may wait for the one that runs; more are shed.

    Call `close` after the server has stopped.
    """

    def __init__(
        self, models: Mapping[str, Model], *, version: str, max_batch: int, max_waiting: int
    ) -> None:
        self._models = models
        self._version = version
        self._max_batch = max_batch
        self._max_waiting = max_waiting
        self._pending = 0
        # One at a time: a session already uses the threads it was given, and more would only share them.
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="inference")
        self.draining = False

    def close(self) -> None:
        """Ends the inference thread."""
        self._executor.shutdown()

    async def ServerLive(self, request: pb.ServerLiveRequest, context: Context) -> pb.ServerLiveResponse:
        """The process is up."""
        return pb.ServerLiveResponse(live=True)

    async def ServerReady(self, request: pb.ServerReadyRequest, context: Context) -> pb.ServerReadyResponse:
        """Models are loaded before the port opens, so only a stop makes the server unready."""
        return pb.ServerReadyResponse(ready=not self.draining)

    async def ModelReady(self, request: pb.ModelReadyRequest, context: Context) -> pb.ModelReadyResponse:
        """Unknown models are not ready; that is an answer, not an error."""
        model = self._models.get(request.name)
        known = model is not None and request.version in ("", model.manifest.version)
        return pb.ModelReadyResponse(ready=known and not self.draining)

    async def ServerMetadata(
        self, request: pb.ServerMetadataRequest, context: Context
    ) -> pb.ServerMetadataResponse:
        """Who this is."""
        return pb.ServerMetadataResponse(
            name="manypath-worker", version=self._version, extensions=["classification"]
        )

    async def ModelMetadata(
        self, request: pb.ModelMetadataRequest, context: Context
    ) -> pb.ModelMetadataResponse:
        """What a model takes and gives."""
        manifest = (await self._find(request.name, request.version, context)).manifest
        return pb.ModelMetadataResponse(
            name=manifest.name,
            versions=[manifest.version],
            platform=manifest.platform,
            inputs=[_metadata(spec) for spec in manifest.inputs],
            outputs=[_metadata(spec) for spec in manifest.outputs],
        )

    async def ModelInfer(self, request: pb.ModelInferRequest, context: Context) -> pb.ModelInferResponse:
        """Runs a model."""
        model = await self._find(request.model_name, request.model_version, context)
        if self._pending > self._max_waiting:
            context.set_trailing_metadata((("grpc-retry-pushback-ms", "100"),))
            await context.abort(
                grpc.StatusCode.RESOURCE_EXHAUSTED, f"{self._max_waiting} requests are waiting already"
            )
        remaining: float | None = context.time_remaining()
        deadline = None if remaining is None else time.monotonic() + remaining
        self._pending += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._executor, self._infer, model, request, deadline
            )
        except (TensorError, InputError) as err:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(err))
        except TimeoutError as err:
            await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, str(err))
        finally:
            self._pending -= 1

    def _infer(
        self, model: Model, request: pb.ModelInferRequest, deadline: float | None
    ) -> pb.ModelInferResponse:
        if deadline is not None and time.monotonic() > deadline:
            raise TimeoutError("the deadline passed while the request was waiting")
        return infer(model, request, max_batch=self._max_batch)

    async def _find(self, name: str, version: str, context: Context) -> Model:
        model = self._models.get(name)
        if model is None:
            await context.abort(
                grpc.StatusCode.NOT_FOUND, f"there is no model {name!r}, there are {sorted(self._models)}"
            )
        if version not in ("", model.manifest.version):
            await context.abort(
                grpc.StatusCode.NOT_FOUND,
                f"model {name!r} has no version {version!r}, it has {model.manifest.version!r}",
            )
        return model


def _metadata(spec: TensorSpec) -> pb.ModelMetadataResponse.TensorMetadata:
    return pb.ModelMetadataResponse.TensorMetadata(name=spec.name, datatype=spec.datatype, shape=spec.shape)
