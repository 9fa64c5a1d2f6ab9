"""Ways to serve a task beside a trained model, trained equally long and judged alike; one table of what each costs.

A side path in any shape (multi-path aggregation), low-rank updates, gated experts, a decoder of its own, an
encoder-decoder pair of its own. All see the same crops at the same qualities and have the same loss. Writes
paradigms.csv, .md and .png. Kill it at any time: the same command goes on where it was.

``python -m benchmarks.paradigms --pictures photos --validate cid22-val --task mse --output runs/paradigms``

The paper's Table 1, side paths as bottlenecks against inverted ones, is the same with these, for three tasks:

``--variants main,side-bottleneck,side-inverted --task mse,classification,segmentation``
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from tqdm import tqdm

from benchmarks.command import command
from benchmarks.paradigms import measure, table, variants
from benchmarks.paradigms.paradigm import Paradigm, without_sides
from benchmarks.paradigms.trainer import Batch, ParadigmTrainer
from manypath.allocation import keep_memory
from manypath.errors import CheckpointError, ConfigError
from manypath_lab.machine import this_machine
from manypath_lab.profile import count as profile
from manypath_lab.training import sides
from manypath_lab.training.data import PictureSet
from manypath_lab.training.recipe import Phase, SideRecipe, load_recipe
from manypath_lab.training.side_loss import SideLossTerms

RECIPES = {"mse": "stage2_mse", "classification": "stage2_cls", "segmentation": "stage2_seg"}
BEGUN_FILE = "comparison.json"  # what the run folders of a task belong to
JUDGED_FILE = "judged.json"  # what a finished run was found to reach
WARMUP_SHARE = 0.1  # of the steps


def arguments() -> argparse.ArgumentParser:
    """Return the command's parser."""
    parser = command("paradigms", __doc__)
    parser.add_argument("--pictures", type=Path, required=True, help="folder to train on")
    parser.add_argument("--validate", type=Path, help="folder to judge on; by default that of --pictures")
    parser.add_argument("--output", type=Path, required=True, help="folder for the table and the runs")
    parser.add_argument(
        "--task", default="mse", help=f"{', '.join(RECIPES)}, recipes or TOML files of side paths (default: mse)"
    )
    parser.add_argument(
        "--variants", default=variants.DEFAULT, help=f"{variants.GRAMMAR} (default: {variants.DEFAULT})"
    )
    parser.add_argument("--steps", type=int, default=200, help="(default: %(default)s)")
    parser.add_argument("--batch", type=int, default=4, help="crops per step (default: %(default)s)")
    parser.add_argument("--crop", type=int, default=128, help="side of a crop, pixels (default: %(default)s)")
    parser.add_argument("--rate", type=float, help="base step size of Adam; copies take a tenth of it (the recipe's)")
    parser.add_argument("--network", help="FILE.onnx, module:factory, classifier or segmenter; replaces the recipe's")
    parser.add_argument("--all-side", type=float, help="share of steps with all tokens on a side (the recipe's)")
    parser.add_argument("--judge", type=int, default=6, help="held-out batches of 8 crops (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="pictures timed, of which the best counts (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the batches and of what starts at random (%(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="(default: %(default)s)")
    parser.add_argument("--device", default="cpu", help="to train and judge on; cost is measured on the CPU (cpu)")
    return parser


def recipe_of(task: str, args: argparse.Namespace) -> SideRecipe:
    """Return a task's recipe with the comparison's steps and crops.

    Raises:
        ConfigError: there is no such recipe, it is not a side path's, or a value is out of range.
    """
    asked = {"network": args.network, "all_side": args.all_side, "rate": args.rate, "seed": args.seed}
    changes = {key: value for key, value in asked.items() if value is not None}
    try:
        phase = Phase(steps=args.steps, batch=args.batch, crop=args.crop, rate=(1.0, 0.05))
    except ValueError as err:
        raise ConfigError(f"--steps, --batch or --crop is out of range: {err}") from err
    changes |= {"phases": [phase.model_dump()], "warmup": round(WARMUP_SHARE * args.steps), "ema": 0.0}
    recipe = load_recipe(RECIPES.get(task, task), **changes)
    if not isinstance(recipe, SideRecipe):
        raise ConfigError(f"--task {task}: that recipe trains a main model; give one of a side path")
    return recipe


def claim(folder: Path, start: sides.ModelFile, recipe: SideRecipe, batches: Sequence[Batch]) -> None:
    """Write down what a folder's runs belong to, or see that they belong to this.

    Raises:
        CheckpointError: they belong to another model, another recipe, or were judged on other crops.
    """
    judged = hashlib.sha256(b"".join(batch.x.numpy().tobytes() for batch in batches)).hexdigest()
    settings = {"base_digest": sides.base_digest(start), "recipe": recipe.model_dump(mode="json"), "judged": judged}
    file = folder / BEGUN_FILE
    if file.exists() and json.loads(file.read_text()) != settings:
        raise CheckpointError(f"{folder} holds runs of another model or with other settings; choose another --output")
    folder.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(settings, indent=2))


class Comparison:
    """Runs the variants of one task.

    Args:
        start: the trained model, without sides.
        recipe: the task, its steps and crops.
        pictures: to learn from.
        validate: to judge on.
        args: the command's.
    """

    def __init__(
        self,
        start: sides.ModelFile,
        recipe: SideRecipe,
        pictures: PictureSet,
        validate: PictureSet,
        args: argparse.Namespace,
    ) -> None:
        self.start, self.recipe, self.pictures, self.args = start, recipe, pictures, args
        self.folder: Path = args.output / recipe.path
        self.device = torch.device(args.device)
        self.terms = SideLossTerms(recipe, self.device, start.config.rate_weights)
        self.judging = measure.judging_terms(recipe, self.device, start.config.rate_weights)
        self.batches = measure.held_out(validate, recipe, args.judge)
        claim(self.folder, start, recipe, self.batches)
        square = validate.upright_crops(measure.generator(), 1, max(profile.HEIGHT, profile.WIDTH), recipe.zoom_out)
        self.picture = square[:, : profile.HEIGHT, : profile.WIDTH]
        self.main = self.judge(Paradigm(start))

    def judge(self, paradigm: Paradigm) -> measure.Judgement:
        """Measure a variant on the held-out batches."""
        paradigm.model.to(self.device)
        return measure.judge(paradigm, self.batches, self.judging, self.recipe, self.device)

    def rows(self, asked: list[variants.Variant]) -> list[table.Row]:
        """Train each variant, or go on where it was, and return the table's rows."""
        results = []
        for variant in asked:
            paradigm = variants.build(variant, self.start, self.pictures, self.recipe)
            before, after = self.train(variant, paradigm) if paradigm.learned() else (self.main, self.main)
            paradigm.model.to("cpu")
            results.append((variant, paradigm, before, after))
            change = table.change(after, self.main)
            print(f"{self.recipe.path} {variant.text}: {change.mean:+.2f} ± {change.error:.2f} %", flush=True)
        costs = self.costs([paradigm for _, paradigm, _, _ in results])
        base = sum(parameter.numel() for parameter in Paradigm(self.start).model.parameters())
        return [
            table.Row(
                self.recipe.path,
                variant.text,
                paradigm.label if variant.rate is None else f"{paradigm.label}, step size {variant.rate:g}",
                paradigm.added,
                paradigm.added / base,
                paradigm.trained,
                variant.step_size(self.recipe),
                paradigm.begins,
                paradigm.shared_stream,
                cost,
                before,
                after,
                self.recipe.steps if paradigm.trained else 0,
                paradigm.remark(),
            )
            for (variant, paradigm, before, after), cost in zip(results, costs, strict=True)
        ]

    def train(self, variant: variants.Variant, paradigm: Paradigm) -> tuple[measure.Judgement, measure.Judgement]:
        """Take all steps, from where the run's folder stands; return what was reached before and after them."""
        folder = self.folder / variant.text
        trainer = ParadigmTrainer(self.recipe, paradigm, self.terms, self.pictures, folder, device=self.args.device)
        file = folder / JUDGED_FILE
        if file.exists():
            trainer.resume()
            before, after = (measure.Judgement(*map(tuple, rows)) for rows in json.loads(file.read_text()))
            return before, after
        before = self.judge(paradigm)
        with trainer.alone():
            trainer.resume()
            trainer.run(report_every=max(1, self.recipe.steps // 10))
        after = self.judge(paradigm)
        file.write_text(json.dumps([before, after]))
        return before, after

    def costs(self, paradigms: list[Paradigm]) -> list[measure.Cost]:
        """Return what decoding costs, timed in turns."""
        path = self.recipe.path
        shared = measure.shared_kilomacs(Paradigm(self.start))
        times = measure.latencies(paradigms, path, self.picture, self.args.rounds)
        counts = [measure.synthesis_kilomacs(paradigm, path, self.picture) for paradigm in paradigms]
        return [measure.Cost(count, count + shared, spent) for count, spent in zip(counts, times, strict=True)]


def main() -> int:
    """Train, judge, and write the table."""
    args = arguments().parse_args()
    keep_memory()
    torch.set_num_threads(args.threads)
    asked = variants.parse(args.variants)
    start = without_sides(sides.read(args.model))
    recipes = [recipe_of(task, args) for task in args.task.split(",")]
    pictures = PictureSet(args.pictures, args.crop)
    validate = PictureSet(args.validate or args.pictures, max(args.crop, profile.HEIGHT, profile.WIDTH))
    rows: list[table.Row] = []
    judgements: dict[str, measure.Judgement] = {}
    for recipe in tqdm(recipes, unit="task", disable=None):
        comparison = Comparison(start, recipe, pictures, validate, args)
        rows += comparison.rows(asked)
        judgements[recipe.path] = comparison.main
    report = table.Report(tuple(rows), judgements, tuple(about(args, start, pictures, validate)))
    for suffix, text in (("csv", table.to_csv(report)), ("md", table.to_markdown(report))):
        (args.output / f"paradigms.{suffix}").write_text(text, encoding="utf-8")
    table.draw(report).savefig(args.output / "paradigms.png", dpi=130)
    print(table.to_markdown(report))
    return 0


def about(args: argparse.Namespace, start: sides.ModelFile, pictures: PictureSet, validate: PictureSet) -> list[str]:
    """Return what a reader must know of how the figures came about."""
    name = Path(args.model).name
    source = (args.validate or args.pictures).name
    note = (
        f"{args.steps} steps of {args.batch} crops of {args.crop}x{args.crop} from {len(pictures.pictures)} pictures, "
        f"the same for every variant (seed {args.seed}). Judged with all tokens on the side, on {8 * args.judge} crops "
        f"of {len(validate.pictures)} pictures of `{source}` at qualities 1 to 8; ± is one standard error over "
        f"{args.judge} batches of the paired difference. g_s is timed on {table.TIMED} pixels in milliseconds of the "
        f"processor, the best of {args.rounds}, {args.threads} thread(s): {this_machine().describe()}."
    )
    return [f"# Ways to serve a task beside `{name}` ({start.config.FAMILY} family)", "", note]


if __name__ == "__main__":
    sys.exit(main())
