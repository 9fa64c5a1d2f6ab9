"""``manypath demo``: one photo from camera to label, through all three services on this machine."""

from __future__ import annotations

import argparse
import json
import signal
import statistics
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from manypath_cli.exits import FileError, UsageError

if TYPE_CHECKING:
    from argparse import _SubParsersAction

    from manypath_api.v1 import codec_pb2 as pb
    from manypath_cli.demo_report import Image, Labels, Report
    from manypath_cli.service_process import ServiceProcess

_DESCRIPTION = """\
Start a worker, a decoder and an encoder as processes of their own on free ports of this machine, send them a real
photo as a camera would, and show what came of it: bytes, quality, milliseconds per stage, labels, and the pictures
side by side. Without --picture it is scikit-image's photo of a coffee cup (CC0, by Rachel Michetti).
"""

_EXAMPLES = """\
examples:
  manypath demo
  manypath demo --picture holiday.jpg --quality 2
  manypath demo --keep            leaves the services up, and says how to call and scrape them
"""

_SECONDS = 60.0  # of one call, before the demo gives up
_TOP_K = 5


class Services(NamedTuple):
    """What runs."""

    worker: ServiceProcess
    decoder: ServiceProcess
    encoder: ServiceProcess


def add_parser(subparsers: _SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the subcommand."""
    parser = subparsers.add_parser(
        "demo",
        help="one picture through all services, on this machine",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--picture", type=Path, metavar="FILE", help="a JPEG, PNG or WebP (default: a coffee cup)")
    parser.add_argument("--quality", type=float, default=4.0, help="1..8, any fraction (default: %(default)s)")
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("demo-output"), metavar="DIR", help="default: %(default)s"
    )
    parser.add_argument("--repeat", type=int, default=7, metavar="N", help="warm calls to time (default: %(default)s)")
    parser.add_argument("--model", default="edge", metavar="NAME", help="codec model (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="of each service (default: %(default)s)")
    parser.add_argument("--keep", action="store_true", help="leave the services up until Ctrl-C")
    parser.set_defaults(func=demo)


def demo(args: argparse.Namespace) -> int:
    """Run the demo.

    Raises:
        UsageError: an option cannot be.
        FileError: the picture cannot be read.
        ServiceProcessError: a service did not start.
        DemoError: a call failed.
    """
    if args.repeat < 1:
        raise UsageError(f"--repeat must be at least 1, got {args.repeat}")
    file = _picture_file(args.picture)
    from manypath_cli.demo_report import beside_jpeg, print_report, read, write_pictures

    image = read(file)
    _say("building or finding the classifier")
    from manypath_lab.classifier_export import MODEL_NAME, export_classifier

    repository = export_classifier().folder.parent
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: what was started is ended
    _say("starting worker, decoder and encoder")
    begun = time.perf_counter()
    with _services(args.model, args.threads, repository, MODEL_NAME) as services:
        _say(f"all three say SERVING after {time.perf_counter() - begun:.1f} s")
        report = _measure(services.encoder, file, quality=args.quality, repeat=args.repeat)
        jpeg = beside_jpeg(image, len(report.bitstream))
        labels = {"reconstruction": report.labels}
        untouched = {"original": image} | ({"JPEG": jpeg.image} if jpeg else {})
        asked = _ask_worker(services.worker.target, MODEL_NAME, list(untouched.values()))
        labels |= dict(zip(untouched, asked, strict=True))
        paths = write_pictures(args.output, image, report, jpeg)
        urls = {process.service: process.metrics_url for process in services}
        print_report(image, report, jpeg, labels=labels, paths=paths, metrics_urls=urls)
        if args.keep:
            _keep(services)
        _say("ending the services")
    return 0


def _say(what: str) -> None:
    print(f"manypath demo: {what}", file=sys.stderr, flush=True)


def _picture_file(picture: Path | None) -> bytes:
    """Return the photo's bytes."""
    if picture is None:
        from importlib import resources

        return (resources.files("skimage") / "data" / "coffee.png").read_bytes()
    try:
        return picture.read_bytes()
    except OSError as err:
        raise FileError(f"cannot read {picture}: {err.strerror}") from err


@contextmanager
def _services(model: str, threads: int, repository: Path, classifier: str) -> Iterator[Services]:
    """Run the three services, wired to each other, for as long as the block lasts."""
    from manypath_cli.service_process import ServiceProcess

    with ExitStack() as ends:

        def start(service: str, **settings: object) -> ServiceProcess:
            return ends.enter_context(ServiceProcess(service, {"threads": threads, **settings}))

        worker = start("worker", models=repository)
        workers = json.dumps({"classification": f"{worker.target}/{classifier}"})
        decoder = start("decoder", model=model, workers=workers)
        encoder = start("encoder", model=model, uplink=decoder.target)
        services = Services(worker, decoder, encoder)
        for process in services:
            process.wait_ready()
        yield services


def _measure(encoder: ServiceProcess, file: bytes, *, quality: float, repeat: int) -> Report:
    """Be the camera: send the photo, then again while everything is warm."""
    from manypath_api.v1 import codec_pb2 as pb
    from manypath_cli.demo_report import Report, decode_picture

    classify = pb.TaskRequest(task=pb.TASK_CLASSIFICATION, top_k=_TOP_K)
    labels_only = pb.ProcessRequest(picture=pb.Picture(file=file), rate=pb.Rate(quality=quality), tasks=[classify])
    with_picture = pb.ProcessRequest(return_bitstream=True, pictures=[pb.PathRequest(path=pb.PATH_PERCEPTUAL)])
    with_picture.MergeFrom(labels_only)

    with _camera(encoder.target) as process:
        first_seconds, response = process(with_picture)
        warm = [process(labels_only) for _ in range(repeat)]
        with_picture_seconds = statistics.median(process(with_picture)[0] for _ in range(repeat))
    (result,) = response.analyzed.results
    return Report(
        facts=response.encoded.facts,
        bitstream=response.encoded.bitstream,
        file_bytes=len(file),
        reconstruction=decode_picture(response.analyzed.pictures[0].picture.file),
        route=result.route,
        classifier=result.model,
        labels=[(label.name, label.score) for label in result.classification.labels],
        first_seconds=first_seconds,
        labels_seconds=statistics.median(seconds for seconds, _ in warm),
        picture_seconds=with_picture_seconds,
        encoder_stages=_medians([answer.encoded.timings for _, answer in warm]),
        decoder_stages=_medians([answer.analyzed.timings for _, answer in warm]),
        device=response.encoded.device,
    )


@contextmanager
def _camera(target: str) -> Iterator[Any]:
    """Give a function that sends one request and returns seconds and answer."""
    import grpc

    from manypath_api.v1 import codec_pb2_grpc as pb_grpc
    from manypath_cli.demo_report import DemoError
    from services.common.client import ENCODER_SERVICE, channel_options

    with grpc.insecure_channel(target, options=channel_options(ENCODER_SERVICE)) as channel:
        stub = pb_grpc.EncoderServiceStub(channel)  # type: ignore[no-untyped-call]

        def process(request: pb.ProcessRequest) -> tuple[float, pb.ProcessResponse]:
            begun = time.perf_counter()
            try:
                response: pb.ProcessResponse = stub.Process(request, timeout=_SECONDS)
            except grpc.RpcError as err:
                raise DemoError(f"the encoder answered {err.code().name}: {err.details()}") from err
            return time.perf_counter() - begun, response

        yield process


def _ask_worker(target: str, model: str, images: Sequence[Image]) -> list[Labels]:
    """Return what the classifier says of pictures that never went through our codec."""
    import asyncio

    from services.common.inference_client import InferenceClient

    async def ask() -> list[Labels]:
        async with InferenceClient(target, model, timeout_seconds=_SECONDS) as client:
            answers = [await client.classify(image, _TOP_K) for image in images]
        return [[(label.name, label.score) for label in labels] for labels in answers]

    return asyncio.run(ask())


def _medians(answers: list[Any]) -> dict[str, float]:
    """Return the median seconds of each stage."""
    stages: dict[str, list[float]] = {}
    for timings in answers:
        for timing in timings:
            stages.setdefault(timing.stage, []).append(timing.seconds)
    return {stage: statistics.median(seconds) for stage, seconds in stages.items()}


def _keep(services: Services) -> None:
    """Say how to use what runs, and wait for a signal."""
    print("\nThe services stay up. With grpcurl:")
    for process in (services.encoder, services.decoder):
        print(f"  grpcurl -plaintext {process.target} list")
    print(f"  grpcurl -plaintext {services.encoder.target} manypath_api.v1.EncoderService/GetCapabilities")
    print("End with Ctrl-C.", flush=True)
    asked = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: asked.set())
    asked.wait()
