"""``manypath lab segmenter``: train a street segmenter, turn it into ONNX for the worker, measure it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from manypath_cli.exits import FileError
from manypath_cli.lab.served import add_install, add_model, add_output, check_output, write

if TYPE_CHECKING:
    from argparse import _SubParsersAction

    from manypath_lab.model_repository import ModelExport

_DESCRIPTION = """\
The worker's default segmenter: eleven classes of street scenes, from EfficientNet-Lite0's features and a small
pyramid. A shipped one is there; `install` puts it where the worker looks.
"""

_EPILOG = """\
examples:
  manypath lab segmenter install                            the shipped one, into the cache's model repository
  manypath lab segmenter train --pictures camvid --output runs/segmenter
  manypath lab segmenter export runs/segmenter --output mine.onnx
  manypath lab segmenter eval mine.onnx --pictures camvid
"""

_PICTURES_HELP = "folder with train/ and val/, each with images/ and masks/ (PNG, class indexes, 11 = void)"


def add_parser(subparsers: _SubParsersAction[argparse.ArgumentParser]) -> None:
    """Registers the subcommand."""
    parser = subparsers.add_parser(
        "segmenter",
        help="train, export and measure the worker's default segmenter",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(metavar="ACTION", title="actions", required=True)

    add_model(add_install(actions, _install))

    train = actions.add_parser(
        "train",
        help="train one on labelled street scenes",
        description="Kill it at any time: the same command goes on at the step where it was saved.",
    )
    train.add_argument("--pictures", type=Path, required=True, metavar="DIR", help=_PICTURES_HELP)
    train.add_argument("--output", type=Path, required=True, metavar="RUN", help="run folder; one that exists goes on")
    train.add_argument("--recipe", type=Path, metavar="FILE", help="TOML with what differs from the shipped recipe")
    train.add_argument("--threads", type=int, default=1, help="CPU threads (default: %(default)s)")
    train.add_argument("--max-hours", type=float, help="stop and save after this long")
    train.set_defaults(func=train_run)

    export = actions.add_parser("export", help="write a run's averaged network, or the shipped one, as one file")
    export.add_argument("run", type=Path, nargs="?", metavar="RUN", help="run folder (default: the shipped weights)")
    add_output(export)
    export.set_defaults(func=export_file)

    measure = actions.add_parser("eval", help="IoU per class on labelled scenes, by onnxruntime")
    measure.add_argument("file", type=Path, metavar="FILE", help="an .onnx file")
    measure.add_argument("--pictures", type=Path, required=True, metavar="DIR", help=_PICTURES_HELP)
    measure.add_argument("--split", default="val", help="folder below DIR (default: %(default)s)")
    measure.set_defaults(func=evaluate)


def _install(args: argparse.Namespace) -> ModelExport:
    from manypath_lab.segmenter.export import export_segmenter

    return export_segmenter(args.output, weights=args.model, force=args.force)


def train_run(args: argparse.Namespace) -> int:
    """Trains as asked.

    Raises:
        FileError: the scenes cannot be read.
    """
    from manypath.allocation import keep_memory

    keep_memory()
    import torch

    from manypath_lab.segmenter.data import read_scenes
    from manypath_lab.segmenter.trainer import SegmenterTrainer, load_recipe

    recipe = load_recipe(args.recipe)
    torch.set_num_threads(args.threads)
    try:
        scenes, validation = (read_scenes(args.pictures / split) for split in ("train", "val"))
    except OSError as err:
        raise FileError(f"no labelled scenes in {args.pictures}: {err}") from err
    trainer = SegmenterTrainer(recipe, scenes, validation, args.output)
    with trainer.alone():
        if trainer.resume():
            print(f"resumed at step {trainer.step} of {recipe.steps}", file=sys.stderr)
        try:
            trainer.run(report_every=20, max_seconds=args.max_hours * 3600 if args.max_hours else None)
        except KeyboardInterrupt:
            print(f"interrupted: saved at step {trainer.step}", file=sys.stderr)
    print(f"{args.output}: step {trainer.step} of {recipe.steps}, {trainer.seconds / 3600:.2f} h, {len(scenes)} scenes")
    return 0


def export_file(args: argparse.Namespace) -> int:
    """Writes one file.

    Raises:
        UsageError: the output's name says neither kind.
        FileError: the output exists, or cannot be written.
    """
    from manypath_lab.segmenter.export import build_graph
    from manypath_lab.segmenter.weights import load_segmenter, read_run, to_bytes

    output = check_output(args)
    network, step = (load_segmenter(), None) if args.run is None else read_run(args.run)
    if output.suffix == ".onnx":
        content = build_graph(network).SerializeToString(deterministic=True)
    else:
        content = to_bytes(network, {} if step is None else {"step": str(step)})
    return write(output, content, "" if step is None else f", step {step}")


def evaluate(args: argparse.Namespace) -> int:
    """Prints the table.

    Raises:
        FileError: the scenes cannot be read.
    """
    from tqdm import tqdm

    from manypath_lab.segmenter.data import read_scenes
    from manypath_lab.segmenter.score import OnnxSegmenter, score, table

    segmenter = OnnxSegmenter(args.file)
    try:
        scenes = read_scenes(args.pictures / args.split)
    except OSError as err:
        raise FileError(f"no labelled scenes in {args.pictures / args.split}: {err}") from err
    print(table(score(segmenter, tqdm(scenes, unit="picture", disable=None))))
    return 0
