"""KServe's implementation of the protocol around a model of our own; run by its own environment's Python.

The model, "colours", takes prepared floats [1, 3, 32, 32] and answers the mean of each channel and of all as
scores, so that the client's crop, normalisation and axis order can be read off the scores. Prints its port.
"""

import asyncio
from concurrent import futures

import grpc
import numpy as np
from kserve import InferOutput, InferRequest, InferResponse, Model, ModelRepository
from kserve.protocol.dataplane import DataPlane
from kserve.protocol.grpc import grpc_predict_v2_pb2_grpc
from kserve.protocol.grpc.interceptors import ExceptionToStatusInterceptor
from kserve.protocol.grpc.servicer import InferenceServicer
from kserve.protocol.model_repository_extension import ModelRepositoryExtension


class Colours(Model):
    """Scores: red, green, blue, grey."""

    def __init__(self):
        super().__init__("colours")
        self.ready = True

    async def get_input_types(self):
        return [{"name": "x", "datatype": "FP32", "shape": [-1, 3, 32, 32]}]

    async def get_output_types(self):
        return [{"name": "scores", "datatype": "FP32", "shape": [-1, 4]}]

    def predict(self, payload: InferRequest, headers=None, response_headers=None):
        x = payload.inputs[0].as_numpy()
        if x.shape != (1, 3, 32, 32):
            raise ValueError(f"shape is {x.shape}")
        channels = x.mean(axis=(2, 3))
        scores = np.concatenate([channels, channels.mean(axis=1, keepdims=True)], axis=1).astype(np.float32)
        output = InferOutput("scores", list(scores.shape), "FP32")
        output.set_data_from_numpy(scores, binary_data=False)
        return InferResponse(payload.id or "0", self.name, [output])


async def main():
    """Serves until it is killed."""
    repository = ModelRepository()
    repository.update(Colours())
    plane = DataPlane(model_registry=repository)
    server = grpc.aio.server(futures.ThreadPoolExecutor(max_workers=1), interceptors=(ExceptionToStatusInterceptor(),))
    grpc_predict_v2_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(
        InferenceServicer(plane, ModelRepositoryExtension(model_registry=repository)), server
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await server.wait_for_termination()


asyncio.run(main())
