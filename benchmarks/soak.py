"""Whether services keep what they should let go: ``python -m benchmarks.soak``.

More clients than a queue holds make thousands of calls: an encoder codes a small picture, its decoder shows it, a
worker is asked; many are refused, as in an overload. Memory, descriptors and threads of each service are taken when a
quarter of the calls has been made, and at the end.
"""

from __future__ import annotations

import argparse
import pathlib
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from benchmarks.fire import inputs
from benchmarks.fire.watch import memory_mb, threads
from benchmarks.fire.worker import small_network
from manypath_api.inference import open_inference_pb2 as inference_pb
from manypath_api.inference import open_inference_pb2_grpc as inference_grpc
from manypath_api.v1 import codec_pb2 as pb
from manypath_api.v1 import codec_pb2_grpc as pb_grpc
from manypath_cli.service_process import ServiceProcess
from manypath_lab.machine import this_machine
from manypath_services.common.client import ENCODER_SERVICE, INFERENCE_SERVICE

_WARM = 0.25  # of the calls, after which nothing should grow any more
_MOST_MIB = 64.0  # that a service may grow from there to the end: allocators keep what a burst needed
_MOST_DESCRIPTORS = 16
_SIDE = 96  # pixels
_PAUSE_SECONDS = 5.0  # for what is given back after a burst


class State(NamedTuple):
    """What a process holds.

    Attributes:
        memory_mb: its resident set, in MiB.
        descriptors: that are open.
        threads: that it has.
    """

    memory_mb: float
    descriptors: int
    threads: int


def state(pid: int) -> State:
    """Return what a process holds now."""
    return State(memory_mb(pid), len(list(pathlib.Path(f"/proc/{pid}/fd").iterdir())), threads(pid))


def grown(warm: State, end: State) -> str:
    """Return what a service kept that it should not have; empty if nothing."""
    found = []
    if end.memory_mb - warm.memory_mb > _MOST_MIB:
        found.append(f"{end.memory_mb - warm.memory_mb:.0f} MiB")
    if end.descriptors - warm.descriptors > _MOST_DESCRIPTORS:
        found.append(f"{end.descriptors - warm.descriptors} descriptors")
    return " and ".join(found)


class Calls:
    """So many calls by so many clients, of which each has connections of its own.

    Args:
        encoder: address of the encoder.
        worker: address of the worker.
        clients: at once.
    """

    def __init__(self, encoder: str, worker: str, clients: int) -> None:
        self._encoder, self._worker, self._clients = encoder, worker, clients
        self.ended: Counter[str] = Counter()
        self._lock = threading.Lock()

    def make(self, number: int) -> None:
        """Make as many calls, two thirds of them through encoder and decoder."""
        left = iter(tqdm(range(number), unit="call", disable=None))
        with ThreadPoolExecutor(self._clients) as clients:
            for done in [clients.submit(self._client, left) for _ in range(self._clients)]:
                done.result()

    def _client(self, left: Iterator[int]) -> None:
        shown = [pb.PathRequest(path=pb.PATH_PERCEPTUAL)]
        request = pb.ProcessRequest(picture=pb.Picture(file=inputs.jpeg(_SIDE, _SIDE)), pictures=shown)
        samples = np.zeros((1, _SIDE, _SIDE, 3), np.uint8)
        infer = inference_pb.ModelInferRequest(model_name="network", raw_input_contents=[samples.tobytes()])
        infer.inputs.add(name="image", datatype="UINT8", shape=samples.shape)
        with (
            inputs.channel_to(self._encoder, ENCODER_SERVICE) as to_encoder,
            inputs.channel_to(self._worker, INFERENCE_SERVICE) as to_worker,
        ):
            process = pb_grpc.EncoderServiceStub(to_encoder).Process  # type: ignore[no-untyped-call]
            ask = inference_grpc.GRPCInferenceServiceStub(to_worker).ModelInfer  # type: ignore[no-untyped-call]
            while True:
                with self._lock:
                    number = next(left, None)
                if number is None:
                    return
                call, message = (ask, infer) if number % 3 == 0 else (process, request)
                code, _ = inputs.ending(call, message, timeout=60)
                with self._lock:
                    self.ended[code] += 1
                if code == "RESOURCE_EXHAUSTED":
                    time.sleep(0.02)  # who is refused does not spin


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the process's exit code: 1 if a service kept something."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default="edge", help="of encoder and decoder (default: %(default)s)")
    parser.add_argument("--calls", type=int, default=21_000, help="(default: %(default)s)")
    parser.add_argument("--clients", type=int, default=64, help="(default: %(default)s)")
    args = parser.parse_args(arguments)
    print(this_machine().describe())
    with tempfile.TemporaryDirectory() as folder:
        small_network(pathlib.Path(folder, "network"))
        with (
            ServiceProcess("worker", {"models": folder}) as worker,
            ServiceProcess("decoder", {"model": args.model}) as decoder,
            ServiceProcess("encoder", {"model": args.model, "uplink": decoder.target}) as encoder,
        ):
            services = {"encoder": encoder, "decoder": decoder, "worker": worker}
            for one in services.values():
                one.wait_ready()
            calls = Calls(encoder.target, worker.target, args.clients)
            begun = time.monotonic()
            states = []
            for share in (_WARM, 1 - _WARM):
                calls.make(round(share * args.calls))
                time.sleep(_PAUSE_SECONDS)
                states.append({name: state(one.pid) for name, one in services.items()})
            seconds = time.monotonic() - begun
    warm, end = states
    print(f"{sum(calls.ended.values()):,} calls by {args.clients} clients in {seconds:.0f} s: {dict(calls.ended)}")
    print("| service | memory after a quarter; at the end | descriptors | threads | kept |\n|---|---|---|---|---|")
    for name in services:
        then, now = warm[name], end[name]
        print(
            f"| {name} | {then.memory_mb:.0f}; {now.memory_mb:.0f} MiB | {then.descriptors}; {now.descriptors} "
            f"| {then.threads}; {now.threads} | {grown(then, now) or 'nothing'} |"
        )
    return 1 if any(grown(warm[name], end[name]) for name in services) else 0


if __name__ == "__main__":
    sys.exit(main())
