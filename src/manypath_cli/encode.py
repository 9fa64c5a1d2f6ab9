"""``manypath encode``: picture files to bitstreams."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from manypath_cli.codec_options import add_codec_options, load_codec

if TYPE_CHECKING:
    from argparse import _SubParsersAction

    from manypath_cli.batch import Output

SUFFIX = ".mpa"

_DESCRIPTION = """\
Encode JPEG, PNG, WebP, BMP or PPM pictures as Manypath bitstreams (.mpa). A picture is turned upright as its
EXIF orientation says; grey becomes RGB; of an animation the first frame is taken; metadata and colour
profiles are left behind.
"""

_EXAMPLES = """\
examples:
  manypath encode photo.jpg                            writes photo.mpa beside it
  manypath encode photo.jpg -o small.mpa --quality 2.5
  manypath encode holiday/ -o small/ --target-bpp 0.3  each picture below holiday/, folders kept
  manypath encode 'shots/**/*.png' -o small/ --max-bytes 20000
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
        "--background",
        metavar="COLOUR",
        help="blend transparent pictures on it, such as white or #20242c (default: refuse them)",
    )
    parser.add_argument("-f", "--force", action="store_true", help="overwrite files that exist")
    parser.add_argument("--quiet", action="store_true", help="no progress bar, no summary")
    add_codec_options(parser)
    parser.set_defaults(func=encode)


def encode(args: argparse.Namespace) -> int:
    """Encode what the arguments name.

    Raises:
        ManypathError: see ``batch.run_batch``.
    """
    from manypath_cli.batch import Output, run_batch
    from manypath_cli.jobs import plan
    from manypath_cli.pictures import SUFFIXES, check_colour, read_picture

    if args.background is not None:
        check_colour(args.background)
    jobs = plan(args.inputs, args.output, reads=SUFFIXES, writes=SUFFIX, force=args.force)
    codec = load_codec(args)

    def convert(data: bytes) -> Output:
        picture = read_picture(data, args.background)
        stream = codec.encode(picture, quality=args.quality, max_bytes=args.max_bytes, target_bpp=args.target_bpp)
        return Output(stream, picture.shape[0] * picture.shape[1], len(stream))

    return run_batch(jobs, convert, quiet=args.quiet)
