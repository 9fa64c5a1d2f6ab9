"""``manypath demo``: photos from camera to labels and masks, through all services on this machine."""

from __future__ import annotations

import argparse
import json
import re
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from manypath_cli.exits import FileError, UsageError

if TYPE_CHECKING:
    from argparse import _SubParsersAction

    from manypath_cli.demo_camera import Image, Report, Shot
    from manypath_cli.service_process import ServiceProcess

_DESCRIPTION = """\
Start three workers (a classifier, a segmenter, a detector), a decoder and an encoder as processes of their own on
free ports of this machine, send them real photos as a camera would, and show what came of it: one bitstream, its
picture along each path, bytes, quality, labels, masks, boxes and milliseconds per stage. Without --picture it is
scikit-image's photo of a coffee cup (CC0, by Rachel Michetti) for classifier and detector, and a pagoda (CC BY 2.0, by
danielbuechele) for all three.
"""

_EXAMPLES = """\
examples:
  manypath demo
  manypath demo --picture holiday.jpg --quality 2
  manypath demo --keep            leaves the services up, and says how to call and scrape them
"""

_MAX_PATHS = 32  # pictures and tasks of one request: each task on each path, and each path's picture


class Services(NamedTuple):
    """What runs, by the names that the demo prints."""

    classifier: ServiceProcess
    segmenter: ServiceProcess
    detector: ServiceProcess
    decoder: ServiceProcess
    encoder: ServiceProcess


class Model(NamedTuple):
    """A worker's model.

    Attributes:
        repository: folder that holds it.
        name: there.
    """

    repository: Path
    name: str


def add_parser(subparsers: _SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the subcommand."""
    parser = subparsers.add_parser(
        "demo",
        help="photos through all services, on this machine",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--picture", type=Path, metavar="FILE", help="a JPEG, PNG or WebP (default: two of its own)")
    parser.add_argument("--quality", type=float, default=4.0, help="1..8, any fraction (default: %(default)s)")
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("demo-output"), metavar="DIR", help="default: %(default)s"
    )
    parser.add_argument("--repeat", type=int, default=7, metavar="N", help="warm calls to time (default: %(default)s)")
    parser.add_argument(
        "--model", default="edge", metavar="NAME", help="codec model, or a .safetensors file (default: %(default)s)"
    )
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
    shots = _shots(args.picture)
    from manypath_cli.demo_report import print_rest, print_times
    from manypath_pictures.reader import read_picture

    images = {shot.name: read_picture(shot.file) for shot in shots}
    _say("building or finding the classifier, the segmenter and the detector")
    models = _models()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: what was started is ended
    _say("starting three workers, a decoder and an encoder")
    started = time.perf_counter()
    with _services(args.model, args.threads, models) as services:
        _say(f"all five say SERVING after {time.perf_counter() - started:.1f} s")
        reports: list[Report] = []
        files: list[Path] = []
        for shot in shots:
            report, written = _show(services, models, shot, images[shot.name], args)
            reports.append(report)
            files += written
        print_times(reports)
        print_rest(files, {name: process.metrics_url for name, process in services._asdict().items()})
        if args.keep:
            _keep(services)
        _say("ending the services")
    return 0


def _show(
    services: Services, models: Mapping[str, Model], shot: Shot, image: Image, args: argparse.Namespace
) -> tuple[Report, list[Path]]:
    """Send one photo, print what came of it, and write its pictures."""
    from manypath_cli.demo_camera import look_at, take
    from manypath_cli.demo_pictures import JPEG, ORIGINAL, beside_jpeg, panels, write_pictures
    from manypath_cli.demo_report import print_shot

    report = take(services.encoder.target, shot, quality=args.quality, repeat=args.repeat)
    jpeg = beside_jpeg(image, len(report.bitstream))
    targets = _targets(services.classifier, services.segmenter, services.detector)
    workers = {task: (targets[task], models[task].name) for task in shot.tasks}
    untouched = look_at(workers, {ORIGINAL: image} | ({JPEG: jpeg.image} if jpeg else {}))
    shown = panels(image, report, jpeg, untouched)
    print_shot(report, shown)
    return report, write_pictures(args.output, report, shown)


def _say(what: str) -> None:
    print(f"manypath demo: {what}", file=sys.stderr, flush=True)


def _shots(picture: Path | None) -> list[Shot]:
    """Return the photos and what is asked about each."""
    from manypath_cli.demo_camera import CLASSIFICATION, DETECTION, TASKS, Shot

    if picture is None:
        coffee = (resources.files("skimage") / "data" / "coffee.png").read_bytes()
        pagoda = (resources.files("manypath_services.console") / "photos" / "pagoda.jpg").read_bytes()
        return [Shot("coffee", coffee, (CLASSIFICATION, DETECTION)), Shot("pagoda", pagoda, TASKS)]
    try:
        return [Shot(re.sub(r"[^\w.-]", "_", picture.stem) or "photo", picture.read_bytes(), TASKS)]
    except OSError as err:
        raise FileError(f"cannot read {picture}: {err.strerror}") from err


def _models() -> dict[str, Model]:
    """Return the worker's model of each task, built if it is not in the cache."""
    from manypath_cli.demo_camera import CLASSIFICATION, DETECTION, SEGMENTATION
    from manypath_lab.classifier.export import export_classifier
    from manypath_lab.detector.export import export_detector
    from manypath_lab.segmenter.export import export_segmenter

    exports = {CLASSIFICATION: export_classifier(), SEGMENTATION: export_segmenter(), DETECTION: export_detector()}
    folders = {task: export.folder for task, export in exports.items()}
    return {task: Model(folder.parent, folder.name) for task, folder in folders.items()}


def _targets(*workers: ServiceProcess) -> dict[str, str]:
    """Return the address of each task's worker; they come in the tasks' order."""
    from manypath_cli.demo_camera import TASKS

    return {task: worker.target for task, worker in zip(TASKS, workers, strict=True)}


@contextmanager
def _services(model: str, threads: int, models: Mapping[str, Model]) -> Iterator[Services]:
    """Run the five services, wired to each other, for as long as the block lasts."""
    from manypath_cli.demo_camera import CLASSIFICATION, DETECTION, SEGMENTATION
    from manypath_cli.service_process import ServiceProcess

    with ExitStack() as ends:

        def start(service: str, **settings: object) -> ServiceProcess:
            return ends.enter_context(ServiceProcess(service, {"threads": threads, **settings}))

        def start_worker(task: str) -> ServiceProcess:
            return start("worker", models=models[task].repository, only=json.dumps([models[task].name]))

        classifier, segmenter, detector = map(start_worker, (CLASSIFICATION, SEGMENTATION, DETECTION))
        targets = _targets(classifier, segmenter, detector)
        workers = {task: f"{target}/{models[task].name}" for task, target in targets.items()}
        decoder = start("decoder", model=model, workers=json.dumps(workers), max_paths=_MAX_PATHS)
        encoder = start("encoder", model=model, uplink=decoder.target)
        services = Services(classifier, segmenter, detector, decoder, encoder)
        for process in services:
            process.wait_ready()
        yield services


def _keep(services: Services) -> None:
    """Say how to use what runs, and wait for a signal."""
    print("\nThe services stay up. With grpcurl:")
    for process in (services.encoder, services.decoder):
        print(f"  grpcurl -plaintext {process.target} list")
    for service, process in (("EncoderService", services.encoder), ("DecoderService", services.decoder)):
        print(f"  grpcurl -plaintext {process.target} manypath_api.v1.{service}/GetCapabilities")
    print("End with Ctrl-C.", flush=True)
    asked = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: asked.set())
    asked.wait()
