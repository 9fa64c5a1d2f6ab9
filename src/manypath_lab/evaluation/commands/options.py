"""What the measurements' command lines have in common: one spelling of each option, and how it is read."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from manypath.errors import QualityError, RequestError

if TYPE_CHECKING:
    from manypath.codec import Codec
    from manypath_lab.evaluation.cache import RecordCache
    from manypath_lab.evaluation.codecs.codec import Source
    from manypath_lab.evaluation.judges.judge import Judge
    from manypath_lab.evaluation.run import Run
    from manypath_lab.evaluation.sets import PictureSet

Kinds = argparse._SubParsersAction
PICTURES_HELP = (
    "folder of pictures; one with a labels.csv (file, label) is judged by a classifier, one with images/ and masks/ "
    "(or these below val/) by a segmenter; repeat it for several sets"
)


def add_measurement(
    kinds: Kinds[argparse.ArgumentParser],
    name: str,
    summary: str,
    *,
    description: str,
    examples: str,
    run: Callable[[argparse.Namespace], int],
) -> argparse.ArgumentParser:
    """Add a measurement with the options that all have: output and device."""
    parser = kinds.add_parser(
        name,
        help=summary,
        description=description,
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--output", required=True, metavar="DIR", help="folder for tables and charts")
    parser.add_argument("--device", default="cpu", help="where our model runs: cpu, cuda, cuda:N (default: cpu)")
    parser.set_defaults(func=run)
    return parser


def add_sets(parser: argparse.ArgumentParser) -> None:
    """Add sets of pictures and who judges them."""
    parser.add_argument("--pictures", action="append", required=True, metavar="DIR", help=PICTURES_HELP)
    parser.add_argument("--limit", type=int, metavar="N", help="only N pictures of each set, evenly spaced")
    parser.add_argument(
        "--judge",
        action="append",
        metavar="NAME",
        help="who judges instead of the set's own: psnr, ms-ssim, texture, perceptual, perceptual-lite2, "
        "wasserstein-lite2, lite0, lite1, lite2, segmenter[=FILE], detector[=FILE]; repeat it for several",
    )


def add_model(parser: argparse.ArgumentParser, qualities: str) -> None:
    """Add the choice of one model and its qualities."""
    parser.add_argument("--model", default="edge", metavar="NAME", help="a shipped model or a .safetensors file (edge)")
    add_qualities(parser, qualities)


def add_qualities(parser: argparse.ArgumentParser, default: str) -> None:
    """Add our qualities."""
    parser.add_argument("--qualities", default=default, metavar="Q,Q", help=f"our qualities, 1 to 8 ({default})")


def read_qualities(text: str) -> list[float]:
    """Return sorted qualities; the codec itself checks their range.

    Raises:
        QualityError: not a list of numbers.
    """
    try:
        return sorted({float(part) for part in text.split(",") if part.strip()} or {float(text)})
    except ValueError as err:
        raise QualityError(f"--qualities must be numbers separated by commas, such as 1,4.5,8; got {text!r}") from err


def read_drops(text: str | None) -> tuple[float, ...]:
    """Return sorted positive numbers; none for None.

    Raises:
        RequestError: not a list of them.
    """
    if text is None:
        return ()
    try:
        drops = sorted({float(part) for part in text.split(",") if part.strip()})
    except ValueError:
        drops = []
    if not drops or drops[0] <= 0:
        raise RequestError(f"--drops must be positive numbers separated by commas, such as 1,2,5; got {text!r}")
    return tuple(drops)


def read_requests(texts: Sequence[str] | None, codec: Codec) -> list[tuple[str, float]]:
    """Return paths with their share; all that the model has weights for if none is named.

    Args:
        texts: ``NAME`` or ``NAME=SHARE``.
        codec: the model.

    Raises:
        RequestError: a share is no number.
        PathError: the model has no such path.
    """
    from manypath.paths import check_path
    from manypath_lab.evaluation.codecs.ours import served_paths

    requests = []
    for text in texts or served_paths(codec):
        name, equals, share = text.partition("=")
        try:
            requests.append((check_path(name, codec.sides), float(share) if equals else 1.0))
        except ValueError as err:
            raise RequestError(f"--path takes NAME or NAME=SHARE, such as segmentation=0.5; got {text!r}") from err
    return requests


def read_sets(arguments: argparse.Namespace) -> list[PictureSet]:
    """Return the sets of pictures that were asked for.

    Raises:
        ManypathError: a folder does not exist or holds no pictures.
    """
    from manypath_lab.evaluation.sets import open_set

    return [open_set(folder, arguments.limit) for folder in arguments.pictures]


def measure(
    pictures: PictureSet, sources: Sequence[Source], judges: Sequence[Judge], cache: RecordCache | None = None
) -> Run:
    """Return what judges find in a set's pictures, coded by each source; a terminal shows a bar meanwhile."""
    from manypath_lab.evaluation.run import count_steps, run

    with progress(count_steps(sources, len(pictures.loads))) as advance:
        return run(pictures.loads, sources, judges, cache=cache, advance=advance)


@contextmanager
def progress(total: int) -> Iterator[Callable[[str, int], None]]:
    """Show a bar of pictures times settings on a terminal; yields what is told of each step."""
    from tqdm import tqdm

    with tqdm(total=total, unit="picture", dynamic_ncols=True, disable=None, file=sys.stderr) as bar:

        def advance(what: str, steps: int) -> None:
            bar.set_postfix_str(what, refresh=False)
            bar.update(steps)

        yield advance
