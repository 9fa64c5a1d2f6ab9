"""``manypath eval transition``: metrics over task_share."""

from __future__ import annotations

import argparse
import pathlib

from manypath_lab.evaluation import sets
from manypath_lab.evaluation.options import levels, progress, weights_version

_DESCRIPTION = """\
Decode the same streams at task_share 0 to 1 and measure PSNR, perceptual distance and the task's score on the way:
the mse path on --pictures, the classification path on --photos, the segmentation path on --streets. Says whether each
curve is monotone and how large its largest step is. Writes transition.csv, .json, .md and a chart per path.
"""
_EXAMPLES = """\
examples:
  manypath eval transition --pictures kodak --photos imagenet-val-650 --streets camvid --limit 100 --output runs/way
"""


def add_parser(kinds: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``transition`` to the measurements."""
    parser = kinds.add_parser(
        "transition",
        help="metrics over task_share, and whether they are smooth",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    sets.add_options(parser)
    parser.add_argument("--output", required=True, metavar="DIR", help="folder for tables and charts")
    parser.add_argument("--model", default="edge", help="a shipped model's name or a .safetensors file (default: edge)")
    parser.add_argument("--levels", default="2,4", metavar="Q,Q", help="our qualities (default: 2,4)")
    parser.add_argument("--steps", type=int, default=8, metavar="N", help="from share 0 to share 1 (default: 8)")
    parser.set_defaults(func=evaluate_transition)


def evaluate_transition(arguments: argparse.Namespace) -> int:
    """Run the measurement and write its files.

    Raises:
        ManypathError: a folder, model or side path that does not exist, or the codec failed.
    """
    from manypath.codec import Codec
    from manypath.errors import RequestError
    from manypath_lab.evaluation.plot import save_figure
    from manypath_lab.evaluation.sets import read_sets
    from manypath_lab.evaluation.task_run import CodecSource, count_steps, run
    from manypath_lab.evaluation.transition import draw, to_csv, to_json, to_markdown, transitions

    if arguments.steps < 2:
        raise RequestError(f"--steps must be at least 2, got {arguments.steps}")
    qualities = levels(arguments.levels)
    shares = [number / arguments.steps for number in range(arguments.steps + 1)]
    codec = Codec.load(arguments.model)
    found = []
    for own in read_sets(arguments, appearance=True):
        if not codec.serves(own.path):
            raise RequestError(f"{codec.name} has no {own.path} path, which {own.name} is for; give another --model")
        source = CodecSource(codec, [(own.path, share) for share in shares], levels=qualities)
        with progress(count_steps([source], len(own.cases)), "picture") as advance:
            answers = run(own.cases, [source], own.judges, advance=advance)
        first = answers.answers[0]
        settings = list(zip(first.qualities, map(float, first.bpp.mean(0)), strict=True))
        name = f"{len(own.cases)} of {own.name}"
        found.append(transitions(name, own.path, shares, own.scores(answers), settings))
    everything = [one for own in found for one in own]
    output = pathlib.Path(arguments.output)
    output.mkdir(parents=True, exist_ok=True)
    text = to_markdown(everything, f"{codec.name} ({weights_version(arguments.model, codec)})")
    (output / "transition.csv").write_text(to_csv(everything), encoding="utf-8")
    (output / "transition.json").write_text(to_json(everything), encoding="utf-8")
    (output / "transition.md").write_text(text, encoding="utf-8")
    for one in found:
        save_figure(draw(one), output, f"transition-{one[0].path}")
    print(text)
    print(f"wrote transition.csv, .json, .md and {len(found)} chart(s) to {output}")
    return 0
