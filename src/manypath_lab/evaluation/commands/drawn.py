"""``manypath lab eval drawn``: text, checkerboards, flat colours, ramps and night, against others at the same bytes."""

from __future__ import annotations

import argparse
import pathlib

from manypath_lab.evaluation.commands.options import Kinds, add_measurement, add_model, progress, read_qualities

_DESCRIPTION = """\
Encode a fixed sheet of drawn pictures (a checkerboard of one pixel, ordered dither, coloured text, white pages, ramps,
flat colours), and with --pictures each photo with a timestamp and as at night. Every other codec gets as many bytes as
our stream took. Writes drawn.csv, drawn.md and a sheet of pictures for each quality.
"""
_EXAMPLES = """\
examples:
  manypath lab eval drawn --output runs/drawn
  manypath lab eval drawn --pictures kodak --limit 3 --qualities 1,3,8 --output runs/drawn
"""


def add_parser(kinds: Kinds[argparse.ArgumentParser]) -> None:
    """Add ``drawn`` to the measurements."""
    parser = add_measurement(
        *(kinds, "drawn", "drawn pictures, timestamps and night, at equal bytes"),
        description=_DESCRIPTION,
        examples=_EXAMPLES,
        run=evaluate,
    )
    add_model(parser, "1,2,3,4,5,6,7,8")
    parser.add_argument("--path", default="mse", metavar="NAME", help="by which ours is decoded (mse)")
    parser.add_argument("--pictures", metavar="DIR", help="photos that get a timestamp, and night (none)")
    parser.add_argument("--limit", type=int, default=3, metavar="N", help="only N of the photos, evenly spaced (3)")
    parser.add_argument(
        "--baseline", action="append", metavar="NAME", help="jpeg, webp, jxl or avif; repeat it (jpeg, avif)"
    )


def evaluate(arguments: argparse.Namespace) -> int:
    """Run the measurement and write its files.

    Raises:
        ManypathError: a folder, model or baseline that does not exist, or a codec failed.
    """
    from manypath.codec import Codec
    from manypath_lab.evaluation.codecs.ours import weights_version
    from manypath_lab.evaluation.codecs.registry import make_baselines
    from manypath_lab.evaluation.drawn.errors import errors
    from manypath_lab.evaluation.drawn.pictures import drawn_pictures
    from manypath_lab.evaluation.drawn.rivals import best_within
    from manypath_lab.evaluation.drawn.sheet import Strip, save_sheet
    from manypath_lab.evaluation.drawn.table import Row, to_csv, to_markdown
    from manypath_lab.evaluation.sets import open_set

    qualities = read_qualities(arguments.qualities)
    baselines = make_baselines(arguments.baseline or ("jpeg", "avif"))
    loads = open_set(arguments.pictures, arguments.limit).loads if arguments.pictures else ()
    pictures = drawn_pictures([load().picture for load in loads])
    codec = Codec.load(arguments.model, device=arguments.device)
    output = pathlib.Path(arguments.output)
    rows = []
    with progress(len(qualities) * len(pictures)) as advance:
        for quality in qualities:
            strips = []
            for drawn in pictures:
                stream = codec.encode(drawn.pixels, quality=quality)
                image = codec.decode(stream, path=arguments.path)
                rows.append(Row(drawn.name, quality, codec.name, len(stream), True, errors(drawn, image)))
                images = [(drawn.name, drawn.pixels), (f"{codec.name}, {rows[-1].errors.psnr:.1f} dB", image)]
                for baseline in baselines:
                    rival = best_within(baseline, drawn.pixels, len(stream))
                    found = errors(drawn, rival.image)
                    rows.append(Row(drawn.name, quality, baseline.label, rival.bytes, rival.fits, found))
                    size = "" if rival.fits else f", {rival.bytes} bytes"
                    images.append((f"{baseline.label}{size}, {found.psnr:.1f} dB", rival.image))
                strips.append(Strip(drawn, images))
                advance(drawn.name, 1)
            title = f"quality {quality:g}, {arguments.path} path; others: the best file no larger than ours"
            save_sheet(strips, title, output / f"drawn-{quality:g}.png")
    text = to_markdown(rows, f"{codec.name} ({weights_version(arguments.model, codec)}), {arguments.path} path")
    (output / "drawn.csv").write_text(to_csv(rows), encoding="utf-8")
    (output / "drawn.md").write_text(text, encoding="utf-8")
    print(text)
    print(f"wrote drawn.csv, drawn.md and {len(qualities)} sheet(s) to {output}")
    return 0
