"""The Open Inference Protocol v2 over models in memory."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import grpc

from manypath_api.inference import open_inference_pb2 as pb
from manypath_api.inference import open_inference_pb2_grpc as pb_grpc
from manypath_services.common import logs
from manypath_services.common.client import INFERENCE_SERVICE
from manypath_services.common.compute import Compute
from manypath_services.worker.inference import Order, check, infer_together
from manypath_services.worker.limits import Limits
from manypath_services.worker.metrics import WorkerMetrics
from manypath_services.worker.model import Model, TensorSpec, UnknownModelError

SERVICE = INFERENCE_SERVICE

Context = grpc.aio.ServicerContext[Any, Any]


class InferenceServicer(pb_grpc.GRPCInferenceServiceServicer):
    """Answers about models, and runs them outside the event loop.

    Args:
        models: by name.
        compute: where they run: a session already uses the threads it was given.
        metrics: where the networks' time is counted.
        version: of this software.
        limits: of a request.

    Attributes:
        draining: set when the process is about to stop; the server then is not ready.
    """

    def __init__(
        self,
        models: Mapping[str, Model],
        compute: Compute,
        metrics: WorkerMetrics,
        *,
        version: str,
        limits: Limits,
    ) -> None:
        self._models = models
        self._compute = compute
        self._metrics = metrics
        self._version = version
        self._limits = limits
        self.draining = False

    async def ServerLive(self, request: pb.ServerLiveRequest, context: Context) -> pb.ServerLiveResponse:
        """The process is up."""
        return pb.ServerLiveResponse(live=True)

    async def ServerReady(self, request: pb.ServerReadyRequest, context: Context) -> pb.ServerReadyResponse:
        """Calls are let in when the models are loaded, so only a stop makes the server unready."""
        return pb.ServerReadyResponse(ready=not self.draining)

    async def ModelReady(self, request: pb.ModelReadyRequest, context: Context) -> pb.ModelReadyResponse:
        """An unknown model is not ready; that is an answer, not an error."""
        model = self._models.get(request.name)
        known = model is not None and request.version in ("", model.manifest.version)
        return pb.ModelReadyResponse(ready=known and not self.draining)

    async def ServerMetadata(self, request: pb.ServerMetadataRequest, context: Context) -> pb.ServerMetadataResponse:
        """Who this is."""
        return pb.ServerMetadataResponse(name="manypath-worker", version=self._version, extensions=["classification"])

    async def ModelMetadata(self, request: pb.ModelMetadataRequest, context: Context) -> pb.ModelMetadataResponse:
        """What a model takes and gives."""
        manifest = self._find(request.name, request.version).manifest
        return pb.ModelMetadataResponse(
            name=manifest.name,
            versions=[manifest.version],
            platform=manifest.platform,
            inputs=[_metadata(spec) for spec in manifest.inputs],
            outputs=[_metadata(spec) for spec in manifest.outputs],
        )

    async def ModelInfer(self, request: pb.ModelInferRequest, context: Context) -> pb.ModelInferResponse:
        """Runs a model."""
        model = self._find(request.model_name, request.model_version)

        order = check(model, request, self._limits)
        computed = await self._compute.run_batched(
            self._work,
            order,
            key=order.batch_key,
            timeout_seconds=context.time_remaining(),
            pixels=order.elements,
        )
        logs.note(model=model.manifest.name, elements=order.elements, queue_seconds=round(computed.wait_seconds, 6))
        return computed.value

    def _work(self, orders: Sequence[Order]) -> list[pb.ModelInferResponse | Exception]:
        begun = time.perf_counter()
        answers = infer_together(orders, self._limits)
        model = orders[0].model
        histogram = self._metrics.inference.labels(model.manifest.name, model.providers[0])
        share = (time.perf_counter() - begun) / len(orders)
        for _ in orders:
            histogram.observe(share)
        return answers

    def _find(self, name: str, version: str) -> Model:
        model = self._models.get(name)
        if model is None:
            raise UnknownModelError(f"there is no model {name[:80]!r}, there are {sorted(self._models)}")
        if version not in ("", model.manifest.version):
            raise UnknownModelError(
                f"model {name!r} has no version {version[:80]!r}, it has {model.manifest.version!r}"
            )
        return model


def _metadata(spec: TensorSpec) -> pb.ModelMetadataResponse.TensorMetadata:
    return pb.ModelMetadataResponse.TensorMetadata(name=spec.name, datatype=spec.datatype, shape=spec.shape)
