"""``manypath lab train``: a recipe and a folder of pictures in, a run folder out."""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from manypath.allocation import keep_memory
from manypath.errors import ConfigError

if TYPE_CHECKING:
    from manypath_lab.training.data import PictureSet
    from manypath_lab.training.joint import JointTrainer
    from manypath_lab.training.recipe import JointRecipe, Recipe
    from manypath_lab.training.stage1 import Trainer

HELP = """\
Train a model, or one side path of a model. Kill it at any time: the same command goes on at the step where it was
saved.

examples:
  manypath lab train stage1 --pictures ~/photos --output runs/stage1
  manypath models export runs/stage1 --output edge.safetensors

  manypath lab train stage2_cls --model edge --pictures ~/photos --output runs/cls
  manypath models export runs/cls --model edge --output edge+cls.safetensors

Joint fine-tuning, the whole model for people and machines at once, from where stage 1 stands, with a model's paths:
  manypath lab train joint --init runs/stage1 --model edge --pictures ~/photos \\
      --path-pictures segmentation=~/streets --output runs/joint

The published network, as it was published to be trained: its first stage, the same with a discriminator, one path.
For a look, take fewer steps of smaller crops, or its small sister (--preset tinylic-tiny):
  manypath lab train tinylic_stage1 --pictures ~/photos --output runs/t1 --steps 200 --batch 2 --crop 64
  manypath lab train tinylic_stage1_gan --init runs/t1 --pictures ~/photos --output runs/t1g --steps 99 --crop 64
  manypath models export runs/t1g --output tinylic.safetensors
  manypath lab train tinylic_stage2_mse --model tinylic.safetensors --pictures ~/photos --output runs/t2 --steps 100

A path for a network of your own, learned without labels and served under the name you give it:
  manypath lab train side --network vehicles.onnx --name vehicles --pictures ~/photos --output runs/vehicles
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the subcommand."""
    parser = subparsers.add_parser(
        "train",
        help="train a model from a recipe and a folder of pictures",
        description=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "recipe",
        help="edge: stage1, edge_stage1_gan, stage2_perceptual, stage2_mse, stage2_cls, stage2_seg, "
        "stage2_det, side, joint, smoke; "
        "published: tinylic_stage1, tinylic_stage1_gan, tinylic_stage2_mse, tinylic_stage2_cls, tinylic_stage2_seg; "
        "or a TOML file like theirs",
    )
    parser.add_argument("--pictures", type=Path, required=True, help="folder of JPEG, PNG or WebP pictures")
    parser.add_argument("--output", type=Path, required=True, help="run folder; an existing one is resumed")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0 leaves torch's choice")
    parser.add_argument("--max-hours", type=float, help="stop and save after this long")
    parser.add_argument(
        "--steps", type=int, help="training steps in place of the recipe's; its phases keep their shares"
    )
    parser.add_argument("--batch", type=int, help="crops per step in place of the recipe's")
    parser.add_argument("--crop", type=int, help="side of a crop in place of the recipe's, a multiple of 64 pixels")
    parser.add_argument("--preset", help="of a main model, in place of the recipe's")
    parser.add_argument(
        "--validate", type=Path, metavar="DIR", help="pictures never trained on; the run folder gets validation.csv"
    )
    parser.add_argument(
        "--init",
        type=Path,
        metavar="PATH",
        help="where a main model starts: the run folder of another, a file of float weights, or edge for those of the "
        "shipped model; where a side path starts: the run folder of another, on whatever main weights, or a model file",
    )
    parser.add_argument(
        "--model",
        default="edge",
        metavar="NAME",
        help="for a side path: the model that gets it; for joint fine-tuning: whose paths it starts with; a shipped "
        "model or a .safetensors file (default: %(default)s)",
    )
    side = parser.add_argument_group("for recipes that train a side path")
    side.add_argument("--name", help="of the path, a lower-case word; replaces the recipe's")
    side.add_argument(
        "--network", help="FILE.onnx, module:factory, classifier, segmenter or detector; replaces the recipe's"
    )
    side.add_argument("--input-side", type=int, help="pixels to which pictures are resized for the network")
    joint = parser.add_argument_group("for joint fine-tuning")
    joint.add_argument(
        "--path-pictures",
        action="append",
        default=[],
        metavar="PATH=DIR",
        help="pictures that one path learns from in place of --pictures; repeat it",
    )
    parser.set_defaults(func=main)


def _joint(recipe: JointRecipe, pictures: PictureSet, args: argparse.Namespace) -> JointTrainer:
    from manypath_lab.training.data import PictureSet
    from manypath_lab.training.joint import JointTrainer

    crop = max(phase.crop for phase in recipe.phases)
    of_path = {}
    for text in args.path_pictures:
        path, equals, folder = text.partition("=")
        if not equals or path not in {task.path for task in recipe.tasks}:
            raise ConfigError(f"--path-pictures takes PATH=DIR, a path of the recipe and its pictures; got {text!r}")
        of_path[path] = PictureSet(Path(folder), crop)
    trainer = JointTrainer(recipe, pictures, args.output, args.device, of_path)
    if args.init and not trainer.state_file.exists():
        trainer.initialise(args.init, args.model)
    if args.validate:
        trainer.hold_out(args.validate)
    return trainer


def _main_model(recipe: Recipe, pictures: PictureSet, args: argparse.Namespace) -> Trainer:
    from manypath_lab.training.gan import GanTrainer
    from manypath_lab.training.init import initialise
    from manypath_lab.training.recipe import GanRecipe
    from manypath_lab.training.stage1 import Trainer

    trainer: Trainer
    if isinstance(recipe, GanRecipe):
        trainer = GanTrainer(recipe, pictures, args.output, args.device)
        if not args.init and not trainer.state_file.exists():
            raise ConfigError("a discriminator has nothing to say to an untrained codec: give --init and a stage-1 run")
    else:
        trainer = Trainer(recipe, pictures, args.output, args.device)
    if args.init and not trainer.state_file.exists():
        initialise(trainer, args.init)
    if args.validate:
        trainer.hold_out(args.validate)
    return trainer


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Let SIGTERM interrupt as Ctrl-C does, and SIGINT also where a shell had it ignored, as behind ``&``."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def main(args: argparse.Namespace) -> int:
    """Train as asked; see ``--help``."""
    keep_memory()
    import torch

    from manypath_lab.training.data import PictureSet
    from manypath_lab.training.recipe import JointRecipe, SideRecipe, load_recipe
    from manypath_lab.training.run import TrainingRun

    asked = {"path": args.name, "network": args.network, "input_side": args.input_side, "preset": args.preset}
    changes = {key: value for key, value in asked.items() if value}
    recipe = load_recipe(args.recipe, steps=args.steps, batch=args.batch, crop=args.crop, **changes)
    if args.threads:
        torch.set_num_threads(args.threads)
    pictures = PictureSet(args.pictures, max(phase.crop for phase in recipe.phases))
    trainer: TrainingRun
    if isinstance(recipe, SideRecipe):
        from manypath_lab.training.stage2 import begin_at, side_trainer

        trainer = side_trainer(recipe, args.model, pictures, args.output, args.device)
        if args.init and not trainer.state_file.exists():
            begin_at(trainer, args.init)
    elif isinstance(recipe, JointRecipe):
        trainer = _joint(recipe, pictures, args)
    else:
        trainer = _main_model(recipe, pictures, args)
    with trainer.alone():  # from before its state is read, so that nobody's steps come in between
        if trainer.resume():
            print(f"resumed at step {trainer.step} of {recipe.steps}", file=sys.stderr)
        try:
            every = max(1, min(100, recipe.steps // 20))
            with _interruptible():
                trainer.run(max_seconds=args.max_hours * 3600 if args.max_hours else None, report_every=every)
        except KeyboardInterrupt:
            print(f"interrupted: saved at step {trainer.step}", file=sys.stderr)
    for file, reason in pictures.skipped:
        print(f"skipped {file}: {reason}", file=sys.stderr)
    print(
        f"{args.output}: step {trainer.step} of {recipe.steps}, {trainer.seconds / 3600:.2f} h, "
        f"{len(pictures.pictures)} pictures, {len(pictures.skipped)} skipped"
    )
    return 0
