"""``manypath encode``: picture files to bitstreams."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from manypath_cli.codec_options import add_batch_options, add_codec_options, load_codec

if TYPE_CHECKING:
    from argparse import _SubParsersAction

    from manypath_cli.batch import Output

SUFFIX = ".mpa"

_DESCRIPTION = """\
Encode JPEG, PNG, WebP, BMP or PPM pictures of 8 bits a sample as Manypath bitstreams (.mpa). A picture is turned
upright as its EXIF orientation says; a colour profile is converted to sRGB; grey, palettes and CMYK become RGB; other
metadata are left behind. Animations and more than 8 bits a sample are refused. A folder's hidden files are left out.
"""

_EXAMPLES = """\
examples:
  manypath encode photo.jpg                            writes photo.mpa beside it
  manypath encode photo.jpg -o small.mpa --quality 2.5
  manypath encode holiday/ -o small/ --target-bpp 0.3  each picture below holiday/, folders kept
  manypath encode 'shots/**/*.png' -o small/ --max-bytes 20000
  manypath encode holiday/ -o small/ --skip-existing   goes on where it was interrupted
  manypath encode photo.jpg --max-bytes 20000 --effort 2   a better picture for as many bytes, later
  cat photo.png | manypath encode - > photo.mpa
"""


def add_parser(subparsers: _SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the subcommand."""
    parser = subparsers.add_parser(
        "encode",
        help="pictures to bitstreams",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("inputs", nargs="+", metavar="PICTURE", help="files, folders or globs; - is stdin")
    parser.add_argument(
        "-o",
        "--output",
        metavar="PATH",
        help="a .mpa file for one picture, a folder for several, - for stdout (default: beside each picture)",
    )
    rate = parser.add_mutually_exclusive_group()
    rate.add_argument(
        "-q",
        "--quality",
        type=float,
        metavar="Q",
        help="1.0 (fewest bytes) to 8.0, any fraction (default: 4)",
    )
    rate.add_argument("--max-bytes", type=int, metavar="N", help="at most N bytes a picture, and close to it")
    rate.add_argument("--target-bpp", type=float, metavar="B", help="the same in bits per pixel of the picture")
    parser.add_argument(
        "--effort",
        type=int,
        default=0,
        metavar="N",
        help="time spent on better latents: 0, 1, 2 or 3; at a quality it saves bits, at a budget the picture gains "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--background",
        metavar="COLOUR",
        help="blend transparent pictures on it, such as white or #20242c (default: refuse them)",
    )
    add_batch_options(parser)
    add_codec_options(parser)
    parser.set_defaults(func=encode)


def encode(args: argparse.Namespace) -> int:
    """Encode what the arguments name.

    Raises:
        ManypathError: see ``batch.run_batch``.
    """
    from manypath.rate import Rate
    from manypath_cli.batch import Output, run_batch
    from manypath_cli.jobs import plan
    from manypath_pictures.colour import background_colour
    from manypath_pictures.errors import TransparencyError
    from manypath_pictures.reader import SUFFIXES, read_picture

    if args.background is not None:
        background_colour(args.background)
    work = plan(
        args.inputs,
        args.output,
        reads=SUFFIXES,
        writes=SUFFIX,
        force=args.force,
        skip_existing=args.skip_existing,
    )
    rate = Rate(quality=args.quality, max_bytes=args.max_bytes, bpp=args.target_bpp, effort=args.effort)
    codec = load_codec(args)

    def convert(data: bytes) -> Output:
        try:
            picture = read_picture(data, background=args.background)
        except TransparencyError as err:
            raise TransparencyError(f"{err}: --background white, for instance") from err
        stream = codec.encode(picture, rate)
        return Output(stream, picture.shape[0] * picture.shape[1], len(stream))

    return run_batch(work, convert, quiet=args.quiet, show_traceback=args.traceback)
