"""The demo's camera: sends a photo, asks for every path and task, and looks at the clock."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import grpc
import numpy as np
import numpy.typing as npt

from manypath.errors import ManypathError
from manypath.paths import DecodePath
from manypath_api.v1 import codec_pb2 as pb
from manypath_api.v1 import codec_pb2_grpc as pb_grpc
from manypath_pictures.reader import read_indexes, read_picture
from manypath_services.common.client import ENCODER_SERVICE, channel_options, open_blocking_channel
from manypath_services.decoder import answers
from manypath_services.inference.client import Detect, InferenceClient

Image = npt.NDArray[np.uint8]
Labels = list[tuple[str, float]]  # name and probability, best first

PATHS = tuple(path.value for path in DecodePath)
CLASSIFICATION, SEGMENTATION = DecodePath.CLASSIFICATION.value, DecodePath.SEGMENTATION.value
DETECTION = DecodePath.DETECTION.value
TASKS = (CLASSIFICATION, SEGMENTATION, DETECTION)
_DETECTOR_SIDE = 640  # pixels, as the decoder's setting has it
_SECONDS = 60.0  # of one call, before the demo gives up
_TOP_K = 5


class DemoError(ManypathError):
    """A service refused the demo's picture, or did not answer."""


class Shot(NamedTuple):
    """A photo and what is asked about it.

    Attributes:
        name: of its files and columns.
        file: as it came.
        tasks: names of the tasks.
    """

    name: str
    file: bytes
    tasks: tuple[str, ...]


class Look(NamedTuple):
    """What the workers say of one picture.

    Attributes:
        labels: best first; empty if the classifier was not asked.
        mask: class of each pixel, uint8 [H, W]; None if the segmenter was not asked.
        overlay: the picture under the mask's colours, uint8 [H, W, 3].
        classes: share and colour of each class, by name.
        boxes: best first; None if the detector was not asked.
        boxed: the picture with its boxes drawn in, uint8 [H, W, 3].
    """

    labels: Labels = []  # noqa: RUF012  (never changed)
    mask: Image | None = None
    overlay: Image | None = None
    classes: Sequence[pb.SegmentClass] = ()
    boxes: Sequence[pb.Box] | None = None
    boxed: Image | None = None


class Taken(NamedTuple):
    """One path's picture.

    Attributes:
        image: uint8 [H, W, 3].
        route: which path served.
        look: what the workers said of it.
    """

    image: Image
    route: pb.Route
    look: Look


class Times(NamedTuple):
    """Seconds, medians of warm calls except ``first``.

    Attributes:
        stages: of encoder, decoder, workers and the way between, by (service, stage).
        answers: a call that brings back what each task found on its own path.
        everything: one that brings back the picture of each path, too.
        first: the very first call.
    """

    stages: dict[tuple[str, str], float]
    answers: float
    everything: float
    first: float


class Report(NamedTuple):
    """What the camera learnt of a shot.

    Attributes:
        shot: that it was about.
        facts: of the bitstream.
        bitstream: whole.
        taken: by name of the path asked for.
        models: by name of the task.
        device: where the codec ran.
        times: where they went.
    """

    shot: Shot
    facts: pb.BitstreamFacts
    bitstream: bytes
    taken: dict[str, Taken]
    models: dict[str, str]
    device: str
    times: Times


def take(target: str, shot: Shot, *, quality: float, repeat: int) -> Report:
    """Send a photo, then again while everything is warm.

    Raises:
        DemoError: a call failed.
    """
    base = pb.ProcessRequest(picture=pb.Picture(file=shot.file), rate=pb.Rate(quality=quality))
    own = [pb.TaskRequest(task_name=task, top_k=_TOP_K) for task in shot.tasks]
    pictures = [pb.PathRequest(path_name=path) for path in PATHS]
    each = [
        pb.TaskRequest(task_name=task, path_name=path, top_k=_TOP_K, overlay=True)
        for path in PATHS
        for task in shot.tasks
    ]
    with _encoder(target) as process:
        first, response = process(_with(base, tasks=each, pictures=pictures, return_bitstream=True))
        warm = [process(_with(base, tasks=own)) for _ in range(repeat)]
        everything = [process(_with(base, tasks=own, pictures=pictures))[0] for _ in range(repeat)]
    results = iter(response.analyzed.results)
    taken = {}
    for path, picture in zip(PATHS, response.analyzed.pictures, strict=True):
        look = _look([next(results) for _ in shot.tasks])
        taken[path] = Taken(read_picture(picture.picture.file), picture.route, look)
    return Report(
        shot=shot,
        facts=response.encoded.facts,
        bitstream=response.encoded.bitstream,
        taken=taken,
        models={result.task_name: result.model for result in response.analyzed.results},
        device=response.encoded.device,
        times=Times(
            stages=_stages([answer for _, answer in warm]),
            answers=statistics.median(seconds for seconds, _ in warm),
            everything=statistics.median(everything),
            first=first,
        ),
    )


def look_at(workers: Mapping[str, tuple[str, str]], images: Mapping[str, Image]) -> dict[str, Look]:
    """Ask the workers about pictures that never went through our codec.

    Args:
        workers: target and model of each task to ask.
        images: by name.
    """

    async def ask() -> dict[str, Look]:
        looks = dict.fromkeys(images, Look())
        for task, (target, model) in workers.items():
            async with InferenceClient(target, model, timeout_seconds=_SECONDS) as client:
                for name, image in images.items():
                    if task == CLASSIFICATION:
                        labels = [(label.name, label.score) for label in await client.classify(image, _TOP_K)]
                        looks[name] = looks[name]._replace(labels=labels)
                    elif task == SEGMENTATION:
                        found = answers.segmentation(await client.segment(image), image, raw=False, overlay=True)
                        looks[name] = _segmented(looks[name], found)
                    else:
                        boxes = (await client.detect(image, Detect(_DETECTOR_SIDE))).boxes
                        looks[name] = _detected(looks[name], answers.detection(boxes, image, overlay=True))
        return looks

    return asyncio.run(ask())


@contextmanager
def _encoder(target: str) -> Iterator[Any]:
    """Give a function that sends one request and returns seconds and answer."""
    with open_blocking_channel(target, channel_options(ENCODER_SERVICE)) as channel:
        stub = pb_grpc.EncoderServiceStub(channel)  # type: ignore[no-untyped-call]

        def process(request: pb.ProcessRequest) -> tuple[float, pb.ProcessResponse]:
            started = time.perf_counter()
            try:
                response: pb.ProcessResponse = stub.Process(request, timeout=_SECONDS)
            except grpc.RpcError as err:
                raise DemoError(f"the encoder answered {err.code().name}: {err.details()}") from err
            return time.perf_counter() - started, response

        yield process


def _with(base: pb.ProcessRequest, **fields: Any) -> pb.ProcessRequest:
    request = pb.ProcessRequest(**fields)
    request.MergeFrom(base)
    return request


def _look(results: Iterable[pb.TaskResult]) -> Look:
    look = Look()
    for result in results:
        if result.HasField("classification"):
            look = look._replace(labels=[(label.name, label.score) for label in result.classification.labels])
        elif result.HasField("segmentation"):
            look = _segmented(look, result.segmentation)
        else:
            look = _detected(look, result.detection)
    return look


def _segmented(look: Look, found: pb.Segmentation) -> Look:
    return look._replace(
        mask=read_indexes(found.mask.png), overlay=read_picture(found.overlay), classes=tuple(found.classes)
    )


def _detected(look: Look, found: pb.Detection) -> Look:
    return look._replace(boxes=tuple(found.boxes), boxed=read_picture(found.overlay))


def _stages(responses: Sequence[pb.ProcessResponse]) -> dict[tuple[str, str], float]:
    """Return the median seconds of each stage, in the order in which they began."""
    seconds: dict[tuple[str, str], list[float]] = {}
    for response in responses:
        decoder = {timing.stage: timing.seconds for timing in response.analyzed.timings}
        # the uplink's seconds contain the decoder's and the workers', which are asked at the same time
        uplink = -sum(decoder.values())
        for timing in response.encoded.timings:
            if timing.stage == "uplink":
                uplink += timing.seconds
            else:
                seconds.setdefault(("encoder", timing.stage), []).append(timing.seconds)
        for stage, spent in decoder.items():
            if stage != "worker":
                seconds.setdefault(("decoder", stage), []).append(spent)
        for result in response.analyzed.results:
            seconds.setdefault(("worker", result.model), []).append(result.worker_seconds)
        seconds.setdefault(("uplink", "gRPC, encoder to decoder"), []).append(uplink)
    return {stage: statistics.median(spent) for stage, spent in seconds.items()}
