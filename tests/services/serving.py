"""Real encoders and decoders on free ports, in a thread of this process, with the test preset's weights."""

from __future__ import annotations

import asyncio
import io
import pathlib
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

import grpc
import numpy as np
from PIL import Image

from manypath_api.inference import open_inference_pb2_grpc as inference_grpc
from manypath_api.v1 import codec_pb2 as pb
from manypath_api.v1 import codec_pb2_grpc as pb_grpc
from manypath_services.codec.metrics import CodecMetrics
from manypath_services.codec.serving import bring_up
from manypath_services.codec.statuses import CODEC_CODES
from manypath_services.common.client import DECODER_SERVICE, ENCODER_SERVICE, channel_options
from manypath_services.common.compute import Compute
from manypath_services.common.errors import StoppingError
from manypath_services.common.server import Server
from manypath_services.decoder.servicer import DecoderServicer
from manypath_services.decoder.settings import DecoderSettings
from manypath_services.encoder.servicer import EncoderServicer
from manypath_services.encoder.settings import EncoderSettings
from manypath_services.worker.metrics import WorkerMetrics
from manypath_services.worker.model import load_repository
from manypath_services.worker.servicer import SERVICE, InferenceServicer
from manypath_services.worker.settings import WorkerSettings

MODEL = "tiny-random"
SECONDS = 60.0  # no call of a test takes that long; a hang becomes an error

_KINDS = {
    "encoder": (EncoderSettings, EncoderServicer, ENCODER_SERVICE, pb_grpc.EncoderServiceStub),
    "decoder": (DecoderSettings, DecoderServicer, DECODER_SERVICE, pb_grpc.DecoderServiceStub),
}


class Loop:
    """An event loop in a thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(SECONDS)

    def start(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class Running:
    """One server of ours."""

    def __init__(self, kind: str, loop: Loop, *, ready: bool = True, **settings: Any) -> None:
        settings_class, servicer_class, service, self._stub_class = _KINDS[kind]
        given = {"host": "127.0.0.1", "port": 0, "metrics_port": 0, "drain_seconds": 0, "model": MODEL}
        self.settings = settings_class.load(**(given | settings))
        self.loop = loop
        self.service = service
        self.metrics = CodecMetrics(kind, "test")

        async def start() -> None:
            self.servicer = servicer_class(self.settings, self.metrics)
            self.server = Server(self.settings, self.metrics, [service], CODEC_CODES)
            add = getattr(pb_grpc, f"add_{service.rpartition('.')[2]}Servicer_to_server")
            add(self.servicer, self.server.grpc)
            await self.server.start()

        loop.run(start())
        if ready:
            self.become_ready()

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.server.port}"

    @property
    def metrics_url(self) -> str:
        return f"http://127.0.0.1:{self.server.metrics_port}/metrics"

    def become_ready(self) -> None:
        self.loop.run(bring_up(self.server, self.servicer))

    @contextmanager
    def client(self, *, retries: bool = True) -> Iterator[Any]:
        options = [*channel_options(self.service), ("grpc.enable_retries", int(retries))]
        with grpc.insecure_channel(self.target, options=options) as channel:
            yield self._stub_class(channel)

    @contextmanager
    def busy(self, *, pixels: int = 0, abandoned: bool = False) -> Iterator[None]:
        """The compute thread for work of so many pixels has other things to do for as long as the block lasts."""
        begun, free = threading.Event(), threading.Event()

        def work() -> None:
            begun.set()
            free.wait(SECONDS)

        blocking = self.loop.start(self.servicer.compute.run(work, timeout_seconds=None, pixels=pixels))
        assert begun.wait(SECONDS)
        try:
            yield
        finally:
            free.set()
            with suppress(StoppingError) if abandoned else nullcontext():
                blocking.result(SECONDS)

    def value(self, name: str, **labels: str) -> float:
        """A metric's value now; 0 if nothing was counted yet."""
        return self.metrics.registry.get_sample_value(name, labels) or 0.0

    def close(self) -> None:
        async def stop() -> None:
            await self.server.stop()
            await self.servicer.close()

        self.loop.run(stop())


class RunningWorker:
    """A worker of ours, serving a repository."""

    def __init__(self, loop: Loop, repository: pathlib.Path) -> None:
        settings = WorkerSettings.load(
            host="127.0.0.1", port=0, metrics_port=0, models=repository, max_batch=4, queue_limit=8, drain_seconds=0
        )
        self._loop = loop
        self.repository = repository
        metrics = WorkerMetrics("test")
        self._compute = Compute.of(settings, metrics)
        models = load_repository(repository)

        async def start() -> None:
            servicer = InferenceServicer(models, self._compute, metrics, version="test", limits=settings.limits)
            self._server = Server(settings, metrics, [SERVICE])
            inference_grpc.add_GRPCInferenceServiceServicer_to_server(servicer, self._server.grpc)
            await self._server.start()
            await self._server.become_ready()

        loop.run(start())

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self._server.port}"

    def close(self) -> None:
        self._loop.run(self._server.stop())
        self._compute.close()


def photo(height: int = 96, width: int = 130) -> np.ndarray:
    """A picture with something in it."""
    rows, columns = np.mgrid[0:height, 0:width]
    waves = 127 + 60 * np.sin(rows / 9) + 60 * np.cos(columns / 13)
    noise = np.random.default_rng(7).normal(0, 6, (height, width, 3))
    return np.clip(waves[..., None] * (1.0, 0.8, 0.6) + noise, 0, 255).astype(np.uint8)


def as_file(image: np.ndarray, kind: str = "PNG", **options: Any) -> pb.Picture:
    file = io.BytesIO()
    Image.fromarray(image).save(file, kind, **options)
    return pb.Picture(file=file.getvalue())


def as_raw(image: np.ndarray) -> pb.Picture:
    height, width = image.shape[:2]
    return pb.Picture(raw=pb.RawPicture(width=width, height=height, data=image.tobytes()))


def as_array(picture: pb.Picture) -> np.ndarray:
    if picture.WhichOneof("content") == "raw":
        raw = picture.raw
        return np.frombuffer(raw.data, np.uint8).reshape(raw.height, raw.width, 3)
    return np.asarray(Image.open(io.BytesIO(picture.file)))


def refusal(call: Any, *arguments: Any, **options: Any) -> grpc.Call:
    """The error that a call ends with."""
    try:
        call(*arguments, timeout=options.pop("timeout", SECONDS), **options)
    except grpc.RpcError as err:
        return err
    raise AssertionError("the call succeeded")
