"""``manypath lab eval ablation``: what the encoder's choice of paths is worth."""

from __future__ import annotations

import argparse
import pathlib

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
Encode with the model's own choice of paths, with a random one, without the high-quality path and without the
low-quality path, and compare them by real bytes, decoded on the main path. Nothing is trained. Writes SET.csv, .json,
.md and a chart per measure for each set of pictures.
"""
_EXAMPLES = """\
examples:
  manypath lab eval ablation --pictures cid22-val --output runs/ablation
"""

_NOTE = "One choice of paths exchanged for another in the analysis; weights as they are, nothing trained anew."


def add_parser(kinds: Kinds[argparse.ArgumentParser]) -> None:
    """Add ``ablation`` to the measurements."""
    parser = add_measurement(
        *(kinds, "ablation", "the encoder with a random choice of paths, or with one path only"),
        description=_DESCRIPTION,
        examples=_EXAMPLES,
        run=evaluate,
    )
    add_sets(parser)
    add_model(parser, "1,2,3,4,5,6,7,8")


def evaluate(arguments: argparse.Namespace) -> int:
    """Run the measurement and write its files.

    Raises:
        ManypathError: a folder or model that does not exist, or the codec failed.
    """
    from manypath_lab.evaluation import report
    from manypath_lab.evaluation.ablation import sources
    from manypath_lab.evaluation.comparison import compare
    from manypath_lab.evaluation.judges.registry import make_judges
    from manypath_lab.evaluation.plots import save_plots

    variants = sources(arguments.model, read_qualities(arguments.qualities), arguments.device)
    anchor = variants[0].lines[0].name
    output = pathlib.Path(arguments.output)
    for pictures in read_sets(arguments):
        judges = make_judges(arguments.judge or pictures.kind.judges)
        found = measure(pictures, variants, judges)
        comparison = compare(pictures.name, found, anchors=[anchor], note=_NOTE, path=pictures.kind.path)
        files = [*report.save(comparison, output), *save_plots(comparison, output)]
        print("\n".join(report.summary(comparison)))
        print(f"{comparison.pictures} picture(s); wrote {', '.join(file.name for file in files)} to {output}")
    return 0
