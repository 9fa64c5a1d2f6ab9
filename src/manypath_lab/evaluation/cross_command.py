"""``manypath eval cross``: every path on every metric."""

from __future__ import annotations

import argparse
import pathlib

from manypath_lab.evaluation import sets
from manypath_lab.evaluation.options import levels, progress, weights_version

_DESCRIPTION = """\
Decode the same streams by every path of a model and measure each path on every metric: PSNR, MS-SSIM and perceptual
distance on photos, top-1 on labelled photos, mIoU on street scenes. Writes cross.csv and cross.md.
"""
_EXAMPLES = """\
examples:
  manypath eval cross --pictures kodak --photos imagenet-val-650 --streets camvid --output runs/cross
  manypath eval cross --model runs/a/sides.safetensors --photos imagenet-val-650 --limit 100 --output runs/x
"""


def add_parser(kinds: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``cross`` to the measurements."""
    parser = kinds.add_parser(
        "cross",
        help="every path on every metric, one table",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    sets.add_options(parser)
    parser.add_argument("--output", required=True, metavar="DIR", help="folder for the table")
    parser.add_argument("--model", default="edge", help="a shipped model's name or a .safetensors file (default: edge)")
    parser.add_argument("--levels", default="1,2,4,6", metavar="Q,Q", help="our qualities (default: 1,2,4,6)")
    parser.set_defaults(func=evaluate_cross)


def evaluate_cross(arguments: argparse.Namespace) -> int:
    """Run the measurement and write its table.

    Raises:
        ManypathError: a folder or model that does not exist, or the codec failed.
    """
    from manypath.codec import Codec
    from manypath_lab.evaluation.cross import columns, to_csv, to_markdown
    from manypath_lab.evaluation.sets import read_sets
    from manypath_lab.evaluation.task_run import CodecSource, count_steps, run

    qualities = levels(arguments.levels)
    codec = Codec.load(arguments.model)
    version = weights_version(arguments.model, codec)
    source = CodecSource(codec, version=version, levels=qualities)
    table, counts = [], []
    for found in read_sets(arguments, appearance=False):
        with progress(count_steps([source], len(found.cases)), "picture") as advance:
            answers = run(found.cases, [source], found.judges, advance=advance)
        table += columns(found, answers)
        counts.append(f"{len(found.cases)} pictures of `{found.name}`")
    output = pathlib.Path(arguments.output)
    output.mkdir(parents=True, exist_ok=True)
    (output / "cross.csv").write_text(to_csv(table), encoding="utf-8")
    text = to_markdown(table, f"{codec.name} ({version})", counts)
    (output / "cross.md").write_text(text, encoding="utf-8")
    print(text)
    print(f"wrote cross.csv, cross.md to {output}")
    return 0
