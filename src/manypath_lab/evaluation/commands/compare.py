"""``manypath lab eval compare``: our codec beside others, by every judge of a set of pictures."""

from __future__ import annotations

import argparse
import contextlib
import pathlib
import sys
from typing import TYPE_CHECKING

from manypath.errors import RequestError
from manypath_lab.evaluation.commands.options import (
    Kinds,
    add_measurement,
    add_qualities,
    add_sets,
    measure,
    read_drops,
    read_qualities,
    read_requests,
    read_sets,
)

if TYPE_CHECKING:
    from manypath_lab.evaluation.codecs.codec import Source
    from manypath_lab.evaluation.codecs.ours import OurSource
    from manypath_lab.evaluation.sets import PictureSet

DEFAULT_BASELINES = ("jpeg", "webp", "jxl", "avif")

_DESCRIPTION = """\
Encode and decode every picture at every quality with our codec, by every path from the same streams, and with other
codecs, and compare them by real bytes, headers included. What is measured depends on what is known of the pictures:
PSNR, MS-SSIM and a perceptual distance of any, with Bjontegaard delta rates; of labelled photos the top-1 of a frozen
classifier, of street scenes with masks the mIoU of a frozen segmenter, with our share of each baseline's bits where as
many points are lost. Writes SET.csv, SET.json, SET.md and a chart per measure for each set of pictures.

What baselines gave is kept on disk ($MANYPATH_CACHE, else ~/.cache/manypath): only the first run codes them. VVC takes
2 to 25 seconds a picture and setting the first time. A run that was stopped goes on where it was.
"""

_EXAMPLES = """\
examples:
  the shipped model on Kodak, against everything:
    manypath lab eval compare --pictures kodak --baseline jpeg --baseline webp --baseline jxl --baseline avif \\
        --baseline vvc --output runs/kodak

  what machines still see, on labelled photos and on street scenes:
    manypath lab eval compare --pictures imagenet-val-650 --pictures camvid --output runs/machines

  two checkpoints while training, one path, against JPEG alone:
    manypath lab eval compare --pictures cid22-val --model runs/a.safetensors --model edge --path perceptual \\
        --baseline jpeg --output runs/compare

  whether a detector finds the original's boxes, on any pictures:
    manypath lab eval compare --pictures camvid --judge detector --path perceptual --path detection --output runs/boxes

  networks that no path was trained with:
    manypath lab eval compare --pictures imagenet-val-650 --judge lite1 --judge lite2 --output runs/transfer
"""


def add_parser(kinds: Kinds[argparse.ArgumentParser]) -> None:
    """Add ``compare`` to the measurements."""
    parser = add_measurement(
        *(kinds, "compare", "our paths beside other codecs, by every judge"),
        description=_DESCRIPTION,
        examples=_EXAMPLES,
        run=evaluate,
    )
    add_sets(parser)
    parser.add_argument(
        "--model",
        action="append",
        metavar="NAME",
        help="a shipped model or a .safetensors file, or none; repeat it for several (edge)",
    )
    parser.add_argument(
        "--path",
        action="append",
        metavar="NAME[=SHARE]",
        help="a path of ours, with the share of tokens that take it; repeat it (all that the model has weights for)",
    )
    add_qualities(parser, "1,2,3,4,5,6,7,8")
    parser.add_argument(
        "--effort", type=int, default=0, metavar="N", help="of our encoder, 0 to 3: fewer bits, more time (0)"
    )
    parser.add_argument(
        "--baseline",
        action="append",
        metavar="NAME",
        help=f"jpeg, webp, jxl, avif, avif-psnr, vvc, or none; repeat it ({', '.join(DEFAULT_BASELINES)})",
    )
    parser.add_argument(
        "--against",
        action="append",
        metavar="NAME",
        help="compare with this line only, such as jpeg, or vtm, which is published for Kodak; repeat it (all)",
    )
    parser.add_argument("--drops", metavar="N,N", help="points lost to compare at (1,2,5; agreement 2,5,10)")
    parser.add_argument("--draws", type=int, default=2000, metavar="N", help="of the bootstrap (2000)")
    parser.add_argument(
        "--dtype", default="float32", choices=("float32", "bfloat16"), help="of our transforms (float32)"
    )
    parser.add_argument("--no-cache", action="store_true", help="code and judge baselines anew and remember nothing")


def evaluate(arguments: argparse.Namespace) -> int:
    """Run the measurement and write its files.

    Raises:
        ManypathError: a folder, model, judge or baseline that does not exist, or a codec that failed.
    """
    from manypath_lab.evaluation import report
    from manypath_lab.evaluation.cache import RecordCache
    from manypath_lab.evaluation.comparison import compare
    from manypath_lab.evaluation.judges.registry import make_judges
    from manypath_lab.evaluation.plots import save_plots

    drops = read_drops(arguments.drops)
    sets = read_sets(arguments)
    models = _models(arguments)
    output = pathlib.Path(arguments.output)
    with contextlib.ExitStack() as stack:
        cache = None if arguments.no_cache else stack.enter_context(RecordCache())
        for pictures in sets:
            judges = make_judges(arguments.judge or pictures.kind.judges)
            sources = [*models, *_baselines(arguments, pictures)]
            if not sources:
                raise RequestError("nothing to measure: --model none with --baseline none; name at least one")
            found = measure(pictures, sources, judges, cache)
            options = {"anchors": arguments.against or (), "drops": drops, "draws": arguments.draws}
            home = getattr(judges[0], "path", pictures.kind.path)  # a judge may be made for another path than the set
            comparison = compare(pictures.name, found, path=home, **options)
            files = [*report.save(comparison, output), *save_plots(comparison, output)]
            print("\n".join(report.summary(comparison)))
            for message in comparison.skipped:
                print(f"left out: {message}", file=sys.stderr)
            print(f"{comparison.pictures} picture(s); wrote {', '.join(file.name for file in files)} to {output}")
    return 0


def _models(arguments: argparse.Namespace) -> list[OurSource]:
    """Return our models, told apart by a number where they have one name.

    Raises:
        ManypathError: there is no such model or path.
    """
    from manypath.codec import Codec
    from manypath_lab.evaluation.codecs.ours import OurSource, weights_version

    qualities = read_qualities(arguments.qualities)
    models = [] if arguments.model == ["none"] else arguments.model or ["edge"]
    names: list[str] = []
    sources = []
    for model in models:
        codec = Codec.load(model, device=arguments.device, dtype=arguments.dtype)
        number, name = 2, codec.name
        while name in names:
            number, name = number + 1, f"{codec.name}-{number}"
        names.append(name)
        sources.append(
            OurSource(
                *(codec, read_requests(arguments.path, codec)),
                name=name if len(models) > 1 else None,
                version=weights_version(model, codec),
                qualities=qualities,
                effort=arguments.effort,
            )
        )
    return sources


def _baselines(arguments: argparse.Namespace, pictures: PictureSet) -> list[Source]:
    """Return the other codecs, at settings that are worth measuring on these pictures.

    Raises:
        BaselineError: there is no such baseline.
    """
    from manypath_lab.evaluation.codecs.codec import BaselineSource
    from manypath_lab.evaluation.codecs.registry import make_baselines

    names = [] if arguments.baseline == ["none"] else arguments.baseline or DEFAULT_BASELINES
    settings = pictures.kind.qualities
    return [BaselineSource(baseline, settings.get(baseline.name)) for baseline in make_baselines(names)]
