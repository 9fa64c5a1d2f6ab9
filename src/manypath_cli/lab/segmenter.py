"""``manypath lab segmenter``: train a street segmenter, turn it into ONNX for the worker, measure it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from manypath_cli.exits import FileError, UsageError

if TYPE_CHECKING:
    from argparse import _SubParsersAction

_DESCRIPTION = """\
The worker's default segmenter: eleven classes of street scenes, from EfficientNet-Lite0's features and a small
pyramid. A shipped one is there; `install` puts it where the worker looks.
"""

_EPILOG = """\
examples:
  manypath lab segmenter install                            the shipped one, into the cache's model repository
  manypath lab segmenter train --data camvid --output runs/segmenter
  manypath lab segmenter export runs/segmenter --output mine.onnx
  manypath lab segmenter eval mine.onnx --data camvid
"""

_DATA_HELP = "folder with train/ and val/, each with images/ and masks/ (PNG, class indexes, 11 = void)"


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

    install = actions.add_parser("install", help="build the segmenter as ONNX into a model repository")
    install.add_argument("--output", type=Path, metavar="DIR", help="model repository (default: the cache's)")
    install.add_argument("--weights", type=Path, metavar="FILE", help="a .safetensors file (default: the shipped one)")
    install.add_argument("--force", action="store_true", help="build again even if the cache has a whole copy")
    install.set_defaults(func=install_model)

    train = actions.add_parser(
        "train",
        help="train one on labelled street scenes",
        description="Kill it at any time: the same command goes on at the step where it was saved.",
    )
    train.add_argument("--data", type=Path, required=True, metavar="DIR", help=_DATA_HELP)
    train.add_argument("--output", type=Path, required=True, metavar="RUN", help="run folder; one that exists goes on")
    train.add_argument("--recipe", type=Path, metavar="FILE", help="TOML with what differs from the shipped recipe")
    train.add_argument("--threads", type=int, default=1, help="CPU threads (default: %(default)s)")
    train.add_argument("--max-hours", type=float, help="stop and save after this long")
    train.set_defaults(func=train_run)

    export = actions.add_parser("export", help="write a run's averaged network, or the shipped one, as one file")
    export.add_argument("run", type=Path, nargs="?", metavar="RUN", help="run folder (default: the shipped weights)")
    export.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help=".onnx or .safetensors")
    export.add_argument("-f", "--force", action="store_true", help="overwrite the file if it exists")
    export.set_defaults(func=export_file)

    measure = actions.add_parser("eval", help="IoU per class on labelled scenes, by onnxruntime")
    measure.add_argument("file", type=Path, metavar="FILE", help="an .onnx file")
    measure.add_argument("--data", type=Path, required=True, metavar="DIR", help=_DATA_HELP)
    measure.add_argument("--split", default="val", help="folder below DIR (default: %(default)s)")
    measure.set_defaults(func=evaluate)


def install_model(args: argparse.Namespace) -> int:
    """Builds or finds the segmenter, and says where it is."""
    from manypath_lab.segmenter.export import export_segmenter

    export = export_segmenter(args.output, weights=args.weights, force=args.force)
    print(f"{'built' if export.built else 'found'} {export.folder} sha256 {export.sha256}")
    return 0


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
        scenes, validation = (read_scenes(args.data / split) for split in ("train", "val"))
    except OSError as err:
        raise FileError(f"no labelled scenes in {args.data}: {err}") from err
    trainer = SegmenterTrainer(recipe, scenes, validation, args.output)
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

    output: Path = args.output
    if output.suffix not in (".onnx", ".safetensors"):
        raise UsageError(f"--output must end in .onnx or .safetensors, got {output.name!r}")
    if output.exists() and not args.force:
        raise FileError(f"{output} exists; --force overwrites it")
    network, step = (load_segmenter(), None) if args.run is None else read_run(args.run)
    if output.suffix == ".onnx":
        content = build_graph(network).SerializeToString(deterministic=True)
    else:
        content = to_bytes(network, {} if step is None else {"step": str(step)})
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_bytes(content)
    except OSError as err:
        raise FileError(f"cannot write {output}: {err.strerror}") from err
    print(f"{output}: {len(content):,} bytes{'' if step is None else f', step {step}'}")
    return 0


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
        scenes = read_scenes(args.data / args.split)
    except OSError as err:
        raise FileError(f"no labelled scenes in {args.data / args.split}: {err}") from err
    print(table(score(segmenter, tqdm(scenes, unit="picture", disable=None))))
    return 0
