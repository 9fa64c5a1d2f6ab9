"""``manypath lab eval paths``: every path on every measure."""

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
Decode the same streams by every path of a model and measure each path on every measure: PSNR, MS-SSIM and perceptual
distance on photos, top-1 on labelled photos, mIoU on street scenes. Writes paths.csv and paths.md.
"""
_EXAMPLES = """\
examples:
  manypath lab eval paths --pictures kodak --pictures imagenet-val-650 --pictures camvid --output runs/paths
  manypath lab eval paths --model runs/a/sides.safetensors --pictures imagenet-val-650 --limit 100 --output runs/x
"""


def add_parser(kinds: Kinds[argparse.ArgumentParser]) -> None:
    """Add ``paths`` to the measurements."""
    parser = add_measurement(
        *(kinds, "paths", "every path on every measure, one table"),
        description=_DESCRIPTION,
        examples=_EXAMPLES,
        run=evaluate,
    )
    add_sets(parser)
    add_model(parser, "1,2,4,6")


def evaluate(arguments: argparse.Namespace) -> int:
    """Run the measurement and write its table.

    Raises:
        ManypathError: a folder or model that does not exist, or the codec failed.
    """
    from manypath.codec import Codec
    from manypath_lab.evaluation.codecs.ours import OurSource, weights_version
    from manypath_lab.evaluation.judges.registry import make_judges
    from manypath_lab.evaluation.path_table import columns, to_csv, to_markdown

    qualities = read_qualities(arguments.qualities)
    sets = read_sets(arguments)
    codec = Codec.load(arguments.model, device=arguments.device)
    version = weights_version(arguments.model, codec)
    source = OurSource(codec, version=version, qualities=qualities)
    table, counts = [], []
    for pictures in sets:
        judges = make_judges(arguments.judge or pictures.kind.judges)
        found = measure(pictures, [source], judges)
        table += columns(pictures.name, found)
        counts.append(f"{len(found.names)} pictures of `{pictures.name}`")
    output = pathlib.Path(arguments.output)
    output.mkdir(parents=True, exist_ok=True)
    (output / "paths.csv").write_text(to_csv(table), encoding="utf-8")
    text = to_markdown(table, f"{codec.name} ({version})", counts)
    (output / "paths.md").write_text(text, encoding="utf-8")
    print(text)
    print(f"wrote paths.csv, paths.md to {output}")
    return 0
