"""``manypath lab eval transition``: measures over task_share."""

from __future__ import annotations

import argparse
import pathlib

from manypath.errors import RequestError
from manypath.paths import FOR_PEOPLE
from manypath_lab.evaluation.commands.options import (
    Kinds,
    add_measurement,
    add_model,
    add_sets,
    measure,
    read_qualities,
    read_sets,
)

_DESCRIPTION = """\
Decode the same streams at task_share 0 to 1 and measure PSNR, perceptual distance and the task's score on the way: the
side for people on plain photos (perceptual, or the published network's mse), the classification path on labelled ones,
the segmentation path on street scenes. Says whether each curve is monotone and how large its largest step is. Writes
transition.csv, .json, .md and a chart per set.
"""
_EXAMPLES = """\
examples:
  manypath lab eval transition --pictures kodak --pictures imagenet-val-650 --limit 100 --output runs/way
"""


def add_parser(kinds: Kinds[argparse.ArgumentParser]) -> None:
    """Add ``transition`` to the measurements."""
    parser = add_measurement(
        *(kinds, "transition", "measures over task_share, and whether they are smooth"),
        description=_DESCRIPTION,
        examples=_EXAMPLES,
        run=evaluate,
    )
    add_sets(parser)
    add_model(parser, "2,4")
    parser.add_argument("--steps", type=int, default=8, metavar="N", help="from share 0 to share 1 (8)")


def evaluate(arguments: argparse.Namespace) -> int:
    """Run the measurement and write its files.

    Raises:
        ManypathError: a folder, model or side path that does not exist, or the codec failed.
    """
    from manypath.codec import Codec
    from manypath_lab.evaluation.codecs.ours import OurSource, weights_version
    from manypath_lab.evaluation.judges.registry import make_judges
    from manypath_lab.evaluation.plots import save_figure
    from manypath_lab.evaluation.score import scores
    from manypath_lab.evaluation.transition import draw, to_csv, to_json, to_markdown, transitions

    if arguments.steps < 2:
        raise RequestError(f"--steps must be at least 2, got {arguments.steps}")
    qualities = read_qualities(arguments.qualities)
    shares = [number / arguments.steps for number in range(arguments.steps + 1)]
    sets = read_sets(arguments)
    codec = Codec.load(arguments.model, device=arguments.device)
    output = pathlib.Path(arguments.output)
    output.mkdir(parents=True, exist_ok=True)
    table = []
    for pictures in sets:
        path = pictures.kind.path
        if path in FOR_PEOPLE:
            path = next((side for side in FOR_PEOPLE if side in codec.sides), path)
        if path not in codec.sides:
            raise RequestError(f"{codec.name} has no {path} path, which {pictures.name} is for; give another --model")
        source = OurSource(codec, [(path, share) for share in shares], qualities=qualities)
        judges = make_judges(arguments.judge or list(dict.fromkeys([*pictures.kind.judges, "perceptual"])))
        found = measure(pictures, [source], judges)
        first = found.tracks[0]
        settings = list(zip(first.qualities, map(float, first.bpp.mean(0)), strict=True))
        telling = [score for score in scores(found) if score.measure == score.judge.measures[0]]
        part = transitions(f"{len(found.names)} of {pictures.name}", path, shares, telling, settings)
        save_figure(draw(part), output, f"transition-{path}")
        table += part
    text = to_markdown(table, f"{codec.name} ({weights_version(arguments.model, codec)})")
    for suffix, content in (("csv", to_csv(table)), ("json", to_json(table)), ("md", text)):
        (output / f"transition.{suffix}").write_text(content, encoding="utf-8")
    print(text)
    print(f"wrote transition.csv, .json, .md and {len(sets)} chart(s) to {output}")
    return 0
