"""Attacks on a worker, and by one."""

from __future__ import annotations

import hashlib
import json
import pathlib
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
import numpy as np
import onnx
from onnx import TensorProto, helper

from benchmarks.fire import inputs
from benchmarks.fire.rows import Options, Row, attack
from benchmarks.fire.watch import cpu_seconds, memory_mb, peak_memory
from manypath.codec import Codec
from manypath_api.inference import open_inference_pb2 as inference_pb
from manypath_api.inference import open_inference_pb2_grpc as inference_grpc
from manypath_api.v1 import codec_pb2 as pb
from manypath_api.v1 import codec_pb2_grpc as pb_grpc
from manypath_cli.service_process import ServiceProcess, ServiceProcessError
from manypath_services.common.client import DECODER_SERVICE, INFERENCE_SERVICE


def _write(folder: pathlib.Path, model: onnx.ModelProto, inputs_: list[Any], outputs: list[Any]) -> None:
    """Write a model's folder as a worker expects it."""
    folder.mkdir(parents=True)
    data = model.SerializeToString()
    (folder / "model.onnx").write_bytes(data)
    manifest = {
        "name": folder.name,
        "inputs": inputs_,
        "outputs": outputs,
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    (folder / "model.json").write_text(json.dumps(manifest), encoding="utf-8")


def small_network(folder: pathlib.Path) -> None:
    """A small network over pictures of any size: two convolutions of stride 2, as segmenters begin."""
    weights = np.random.default_rng(3).normal(0, 0.1, (32, 3, 3, 3)).astype(np.float32)
    deeper = np.random.default_rng(4).normal(0, 0.1, (64, 32, 3, 3)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["image"], ["x"], to=TensorProto.FLOAT),
            helper.make_node("Transpose", ["x"], ["chw"], perm=[0, 3, 1, 2]),
            helper.make_node("Conv", ["chw", "w1"], ["c1"], strides=[2, 2], pads=[1, 1, 1, 1]),
            helper.make_node("Relu", ["c1"], ["r1"]),
            helper.make_node("Conv", ["r1", "w2"], ["c2"], strides=[2, 2], pads=[1, 1, 1, 1]),
            helper.make_node("GlobalAveragePool", ["c2"], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["scores"]),
        ],
        "network",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", "H", "W", 3])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", 64])],
        initializer=[onnx.numpy_helper.from_array(weights, "w1"), onnx.numpy_helper.from_array(deeper, "w2")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    image = {"name": "image", "datatype": "UINT8", "shape": [-1, -1, -1, 3]}
    _write(folder, model, [image], [{"name": "scores", "datatype": "FP32", "shape": [-1, 64]}])


def _endless(folder: pathlib.Path) -> None:
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go_on"], ["still"]),
            helper.make_node("Add", ["before", "before"], ["after"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("before", TensorProto.FLOAT, [1, 1]),
        ],
        [
            helper.make_tensor_value_info("still", TensorProto.BOOL, []),
            helper.make_tensor_value_info("after", TensorProto.FLOAT, [1, 1]),
        ],
    )
    graph = helper.make_graph(
        [helper.make_node("Loop", ["", "forever", "x"], ["y"], body=body)],
        "endless",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1])],
        initializer=[helper.make_tensor("forever", TensorProto.BOOL, [], [True])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    specs = [[{"name": name, "datatype": "FP32", "shape": [1, 1]}] for name in ("x", "y")]
    _write(folder, model, *specs)


def _infer(model: str, name: str, array: Any, datatype: str) -> inference_pb.ModelInferRequest:
    request = inference_pb.ModelInferRequest(model_name=model, raw_input_contents=[array.tobytes()])
    request.inputs.add(name=name, datatype=datatype, shape=array.shape)
    return request


@attack(
    "worker's memory", "3 MB of 1x1,000,000x3, and the largest pictures it takes", "under 1 GiB, and back afterwards"
)
def workers_memory(_options: Options) -> Row:
    """Send both, some at once."""
    with tempfile.TemporaryDirectory() as folder:
        small_network(pathlib.Path(folder, "network"))
        with ServiceProcess("worker", {"models": folder}) as worker:
            worker.wait_ready()
            before = memory_mb(worker.pid)
            thin = _infer("network", "image", np.zeros((1, 1, 1_000_000, 3), np.uint8), "UINT8")
            large = _infer("network", "image", np.zeros((1, 2048, 2048, 3), np.uint8), "UINT8")

            def send(request: inference_pb.ModelInferRequest) -> str:
                with inputs.channel_to(worker.target, INFERENCE_SERVICE) as channel:
                    stub = inference_grpc.GRPCInferenceServiceStub(channel)  # type: ignore[no-untyped-call]
                    return inputs.ending(stub.ModelInfer, request, timeout=120)[0]

            with peak_memory(worker.pid) as peak:
                ended = [send(thin)]
                with ThreadPoolExecutor(3) as senders:
                    ended += senders.map(send, [large] * 3)
            time.sleep(5)
            after = memory_mb(worker.pid)
    met = peak[0] < 1024 and after < before + 256 and ended[0] == "INVALID_ARGUMENT"
    told = f"{before:.0f} MiB, at most {peak[0]:.0f}, then {after:.0f}"
    return Row(f"{told}; thin {ended[0]}, large {ended[1:]}", met)


@attack("models", "an ONNX model with an endless loop, and one that reads other files", "ended; refused")
def models(_options: Options) -> Row:
    """Run the first with a limit of 2 s, and end its worker meanwhile; start a worker with the second."""
    with tempfile.TemporaryDirectory() as folder:
        _endless(pathlib.Path(folder, "endless"))
        request = _infer("endless", "x", np.zeros((1, 1), np.float32), "FP32")
        with ServiceProcess("worker", {"models": folder, "inference_seconds": 2, "grace_seconds": 1}) as worker:
            worker.wait_ready()
            with inputs.channel_to(worker.target, INFERENCE_SERVICE) as channel:
                infer = inference_grpc.GRPCInferenceServiceStub(channel).ModelInfer  # type: ignore[no-untyped-call]
                started = time.monotonic()
                code, _ = inputs.ending(infer, request, timeout=60)
                seconds = time.monotonic() - started
                infer.future(request, timeout=60)
                time.sleep(0.5)
                started = time.monotonic()
                worker.stop()
                stopped = time.monotonic() - started
    with tempfile.TemporaryDirectory() as folder:
        small_network(pathlib.Path(folder, "network"))
        path = pathlib.Path(folder, "network", "model.onnx")
        model = onnx.load(path)
        onnx.external_data_helper.convert_model_to_external_data(model, location="weights", size_threshold=0)
        onnx.save(model, path)
        manifest = json.loads((path.parent / "model.json").read_text(encoding="utf-8"))
        manifest["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
        (path.parent / "model.json").write_text(json.dumps(manifest), encoding="utf-8")
        refused = ""
        worker = ServiceProcess("worker", {"models": folder})
        try:
            worker.ports()
        except ServiceProcessError as err:
            refused = "files beside model.onnx" if "files beside model.onnx" in str(err) else str(err)[:80]
        finally:
            worker.stop()
    met = code == "DEADLINE_EXCEEDED" and seconds < 5 and stopped < 5 and refused.startswith("files")
    told = f"loop: {code} after {seconds:.1f} s, SIGTERM during one: gone after {stopped:.1f} s"
    return Row(f"{told}; external data: {refused or 'served'!r}", met)


@contextmanager
def _liar(metadata: list[int], texts: int) -> Iterator[str]:
    """A server that says what a worker must not."""
    describe = inference_pb.ModelMetadataResponse.TensorMetadata
    lines = b"".join(len(line).to_bytes(4, "little") + line for line in [b"0.5:1:name"] * texts)

    class Servicer(inference_grpc.GRPCInferenceServiceServicer):
        def ModelMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802
            outputs = [describe(name="y", datatype="FP32", shape=[-1, 10])]
            return inference_pb.ModelMetadataResponse(
                inputs=[describe(name="x", datatype="UINT8", shape=metadata)], outputs=outputs
            )

        def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802
            response = inference_pb.ModelInferResponse(raw_output_contents=[lines])
            response.outputs.add(name="y", datatype="BYTES", shape=[1, texts])
            return response

    server = grpc.server(ThreadPoolExecutor(2), options=[("grpc.max_send_message_length", -1)])
    inference_grpc.add_GRPCInferenceServiceServicer_to_server(Servicer(), server)  # type: ignore[no-untyped-call]
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


@attack(
    "liars", "workers that claim 60000x60000 pixels, or answer 4,000,000 labels", "a named error, no memory, no time"
)
def liars(options: Options) -> Row:
    """Ask a decoder whose worker lies."""
    told = []
    met = True
    stream = Codec.load(options.model).encode(inputs.photo(96, 96))
    request = pb.AnalyzeRequest(bitstream=stream, tasks=[pb.TaskRequest(task=pb.TASK_CLASSIFICATION)])
    for name, metadata, texts in (("size", [1, 60000, 60000, 3], 1), ("labels", [-1, -1, -1, 3], 4_000_000)):
        with _liar(metadata, texts) as target:
            workers = json.dumps({"classification": f"{target}/liar"})
            with ServiceProcess("decoder", {"model": options.model, "workers": workers}) as decoder:
                decoder.wait_ready()
                with inputs.channel_to(decoder.target, DECODER_SERVICE) as channel:
                    analyze = pb_grpc.DecoderServiceStub(channel).Analyze  # type: ignore[no-untyped-call]
                    before, used, started = memory_mb(decoder.pid), cpu_seconds(decoder.pid), time.monotonic()
                    with peak_memory(decoder.pid) as peak:
                        code, details = inputs.ending(analyze, request, timeout=60)
                    used, seconds = cpu_seconds(decoder.pid) - used, time.monotonic() - started
        grown = peak[0] - before
        told.append(f"{name}: {code} after {seconds:.1f} s, {used:.1f} CPU s and {grown:.0f} MiB more")
        met = met and code == "FAILED_PRECONDITION" and "liar" in details and used < 3 and grown < 400
    return Row("; ".join(told), met)
