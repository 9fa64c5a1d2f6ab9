"""``manypath decode``: bitstreams to PNG files, by the path that is asked for."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from manypath.paths import DecodePath, check_path, check_task_share
from manypath_cli.codec_options import add_batch_options, add_codec_options, load_codec

if TYPE_CHECKING:
    from argparse import _SubParsersAction

    from manypath_cli.batch import Output

_DESCRIPTION = """\
Decode Manypath bitstreams (.mpa) to PNG files. The same bytes serve every path: perceptual pleases the eye,
mse stays closest to the original, classification and segmentation keep what such a network looks for.
"""

_EXAMPLES = """\
examples:
  manypath decode photo.mpa                           writes photo.png beside it
  manypath decode photo.mpa -o machine.png --path classification
  manypath decode photo.mpa -o between.png --path segmentation --task-share 0.5
  manypath decode small/ -o again/                    each bitstream below small/, folders kept
  manypath encode - < photo.jpg | manypath decode - > photo.png
  head -c 4000 photo.mpa | manypath decode - --allow-truncated -o rough.png
"""


def add_parser(subparsers: _SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the subcommand."""
    parser = subparsers.add_parser(
        "decode",
        help="bitstreams to pictures, by the path you choose",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("inputs", nargs="+", metavar="BITSTREAM", help="files, folders or globs; - is stdin")
    parser.add_argument(
        "-o",
        "--output",
        metavar="PATH",
        help="a .png file for one bitstream, a folder for several, - for stdout (default: beside each)",
    )
    parser.add_argument(
        "--path",
        default=DecodePath.DEFAULT.value,
        metavar="NAME",
        help=f"{', '.join(path.value for path in DecodePath)}, or a side of the model's own (default: %(default)s)",
    )
    parser.add_argument(
        "--task-share",
        type=float,
        default=1.0,
        metavar="A",
        help="share of the picture that takes the side path: 0 none, 1 all (default: 1)",
    )
    parser.add_argument("--allow-truncated", action="store_true", help="decode what is left of a stream that was cut")
    add_batch_options(parser)
    add_codec_options(parser)
    parser.set_defaults(func=decode)


def decode(args: argparse.Namespace) -> int:
    """Decode what the arguments name.

    Raises:
        ManypathError: see ``batch.run_batch``.
    """
    from manypath_cli.batch import Output, run_batch
    from manypath_cli.encode import SUFFIX
    from manypath_cli.jobs import plan
    from manypath_pictures.writer import write_png

    path, task_share = args.path, check_task_share(args.task_share)
    work = plan(
        args.inputs,
        args.output,
        reads=(SUFFIX,),
        writes=".png",
        force=args.force,
        skip_existing=args.skip_existing,
    )
    codec = load_codec(args)
    check_path(path, codec.sides)
    if not codec.serves(path) and not args.quiet:
        print(
            f"manypath: note: model {codec.name} has no side path for {path}; the main path is taken",
            file=sys.stderr,
        )

    def convert(data: bytes) -> Output:
        picture = codec.decode(data, path=path, task_share=task_share, allow_truncated=args.allow_truncated)
        return Output(write_png(picture), picture.shape[0] * picture.shape[1], len(data))

    return run_batch(work, convert, quiet=args.quiet, show_traceback=args.traceback)
