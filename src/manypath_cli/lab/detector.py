"""``manypath lab detector``: turn the shipped object detector into ONNX for the worker, and compare another with it."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

from manypath_cli.exits import FileError, UsageError
from manypath_cli.lab.served import add_install, add_model, add_output, check_output, write

if TYPE_CHECKING:
    from argparse import _SubParsersAction

    from manypath_lab.model_repository import ModelExport

_DESCRIPTION = """\
The worker's default object detector: NanoDet-g, 80 classes of everyday objects (COCO's), 3.8 million parameters.
Its weights are shipped under the Apache licence, with their notices; `install` puts it where the worker looks.
"""

_EPILOG = """\
examples:
  manypath lab detector install                             into the cache's model repository
  manypath lab detector export --output nanodet-g.onnx      as one file, for any server or runtime
  manypath lab detector eval mine.onnx --pictures ~/street  does another file find the same boxes?

  people and vehicles out of sets of other things, and how much of them is still found at which rates:
    manypath lab detector choose --pictures kodak --pictures cid22-val --pictures imagenet-val-650 --output runs/street
    manypath lab eval compare --pictures runs/street --judge detector --output runs/boxes
"""


def add_parser(subparsers: _SubParsersAction[argparse.ArgumentParser]) -> None:
    """Registers the subcommand."""
    parser = subparsers.add_parser(
        "detector",
        help="export, install and measure the worker's default object detector",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(metavar="ACTION", title="actions", required=True)
    add_model(add_install(actions, _install))

    export = actions.add_parser("export", help="write the detector as one file")
    add_output(export)
    add_model(export)
    export.set_defaults(func=export_file)

    measure = actions.add_parser(
        "eval",
        help="whether an exported detector finds the shipped one's boxes",
        description="Runs a file and the shipped detector on pictures: after quantisation, on another runtime, with "
        "other weights. What the shipped one finds is the truth; no labels are needed.",
    )
    measure.add_argument("file", type=Path, metavar="FILE", help="an .onnx file with `export`'s input and outputs")
    measure.add_argument("--pictures", type=Path, required=True, metavar="DIR", help="folder of pictures")
    measure.set_defaults(func=evaluate)

    choice = actions.add_parser(
        "choose",
        help="make a test set of pictures in which the detector finds something",
        description="Copies the pictures that show one of some classes, by the shipped detector's boxes on the "
        "originals, into one folder for `manypath lab eval`; choice.csv says where each came from.",
    )
    choice.add_argument(
        "--pictures", type=Path, action="append", required=True, metavar="DIR", help="folder of pictures; repeat it"
    )
    choice.add_argument("--output", type=Path, required=True, metavar="DIR", help="a new folder")
    choice.add_argument(
        "--class",
        dest="classes",
        action="append",
        metavar="NAME",
        help="that a picture must show; repeat it (person, bicycle, car, motorcycle, bus, train, truck, traffic light, "
        "stop sign)",
    )
    choice.add_argument(
        "--min-score", type=float, default=0.5, metavar="SCORE", help="of such a box (default: %(default)s)"
    )
    choice.set_defaults(func=choose_pictures)


def _install(args: argparse.Namespace) -> ModelExport:
    from manypath_lab.detector.export import export_detector

    return export_detector(args.output, weights=args.model, force=args.force)


def export_file(args: argparse.Namespace) -> int:
    """Writes one file.

    Raises:
        UsageError: the output's name says neither kind.
        FileError: the output exists, or cannot be written.
    """
    from manypath_lab.detector.export import build_graph
    from manypath_lab.detector.weights import load_detector, to_bytes

    output = check_output(args)
    network = load_detector(args.model)
    as_onnx = output.suffix == ".onnx"
    content = build_graph(network).SerializeToString(deterministic=True) if as_onnx else to_bytes(network)
    return write(output, content, "; a copy that is passed on must carry the NOTICE that `install` writes")


def evaluate(args: argparse.Namespace) -> int:
    """Prints how many boxes agree, and the seconds that each of the two takes.

    Raises:
        FileError: there is no picture.
    """
    import numpy as np
    from tqdm import tqdm

    from manypath_lab.detector.agreement import Counts, count, f1
    from manypath_lab.detector.boxes import OnnxDetector
    from manypath_lab.detector.export import build_graph
    from manypath_lab.detector.weights import load_detector
    from manypath_lab.training.data import PictureSet

    detectors = [OnnxDetector(args.file), OnnxDetector(build_graph(load_detector()).SerializeToString())]
    try:
        pictures = PictureSet(args.pictures, min_side=1).pictures
    except FileNotFoundError as err:
        raise FileError(str(err)) from err
    seconds = np.zeros(2)
    counts = np.zeros((2, len(Counts._fields)))
    for picture in tqdm(pictures, unit="picture", disable=None):
        found = []
        for number, detector in enumerate(detectors):
            started = time.perf_counter()
            found.append(detector.find(picture))
            seconds[number] += time.perf_counter() - started
        for number, small in enumerate((False, True)):
            counts[number] += count(*found, small_only=small)
    for name, row in zip(("all boxes", "small boxes"), counts, strict=True):
        both, missed, extra = (int(value) for value in row)
        print(f"{name:12} F1 {float(f1(row)):6.1%}  {both} found by both, {missed} missed, {extra} extra")
    for name, spent in zip((args.file.name, "shipped"), 1e3 * seconds / len(pictures), strict=True):
        print(f"{name}: {spent:.0f} ms a picture, one thread")
    return 0


def choose_pictures(args: argparse.Namespace) -> int:
    """Makes a test set.

    Raises:
        UsageError: there is no such class.
        FileError: the output is there, or cannot be written.
    """
    from manypath_lab.detector.boxes import OnnxDetector
    from manypath_lab.detector.choice import STREET, choose
    from manypath_lab.detector.export import build_graph
    from manypath_lab.detector.weights import class_names, load_detector

    detector = OnnxDetector(build_graph(load_detector()).SerializeToString())
    classes = args.classes or STREET
    try:
        chosen = choose(
            args.pictures, args.output, detector, names=class_names(), classes=classes, score=args.min_score
        )
    except ValueError as err:
        raise UsageError(str(err)) from err
    except FileExistsError as err:
        raise FileError(f"{args.output} is there already; name a new folder") from err
    except OSError as err:
        raise FileError(f"cannot write {args.output}: {err.strerror}") from err
    boxes = sum(one.boxes for one in chosen)
    print(f"{len(chosen)} pictures with {boxes} boxes of {', '.join(classes)} in {args.output}")
    return 0
