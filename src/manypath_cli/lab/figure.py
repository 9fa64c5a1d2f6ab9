"""``manypath lab figure``: pictures and charts of what the codec does, each a PNG with its data beside it."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from manypath_cli.codec_options import add_codec_options, load_codec
from manypath_cli.exits import FileError, UsageError
from manypath_cli.lab.figure_words import DESCRIPTION, EXAMPLES, KINDS

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace, _SubParsersAction

    from manypath.image import Image
    from manypath_lab.figures.answers import Classifier


def add_parser(subparsers: _SubParsersAction[ArgumentParser]) -> None:
    """Register the subcommand and its figures."""
    parser = subparsers.add_parser(
        "figure",
        help="pictures and charts of what the codec does",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    kinds = parser.add_subparsers(dest="figure", metavar="FIGURE", required=True, title="figures")
    adders: dict[str, Callable[[ArgumentParser], None]] = {
        "paths": _add_paths,
        "people": _add_people,
        "boxes": _add_boxes,
        "scores": _add_scores,
        "bits": _add_bits,
        "fullgrad": _add_fullgrad,
        "transition": _add_transition,
        "rate": _add_rate,
        "curves": _add_curves,
    }
    for name, words in KINDS.items():
        one = kinds.add_parser(
            name,
            help=words.summary,
            description=words.description,
            epilog=f"example:\n  {words.example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        adders[name](one)
        one.add_argument(
            "-o", "--output", default=f"{name}.png", metavar="FILE", help="the PNG to write (default: %(default)s)"
        )
        if name != "curves":
            add_codec_options(one)


def _add_picture(parser: ArgumentParser, *, quality: bool = True) -> None:
    parser.add_argument("--picture", required=True, metavar="FILE", help="JPEG, PNG, WebP, BMP or PPM")
    if quality:
        parser.add_argument("--quality", type=float, default=2.0, metavar="Q", help="1 to 8 (default: 2)")


def _add_some_paths(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--path", action="append", default=[], metavar="NAME", help="show this path; repeat it (default: all)"
    )


def _add_paths(parser: ArgumentParser) -> None:
    _add_picture(parser)
    _add_some_paths(parser)
    parser.add_argument("--no-classes", action="store_true", help="do not ask the classifier")
    parser.add_argument("--masks", action="store_true", help="ask the segmenter; for street scenes")
    parser.add_argument("--segmenter", type=Path, metavar="FILE", help="its weights (default: the shipped ones)")
    parser.set_defaults(func=draw_paths)


def _add_people(parser: ArgumentParser) -> None:
    parser.add_argument("--pictures", required=True, metavar="DIR", help="folder of pictures")
    parser.add_argument("--limit", type=int, default=12, metavar="N", help="so many, evenly spaced (default: 12)")
    parser.add_argument("--quality", type=float, default=2.0, metavar="Q", help="1 to 8 (default: 2)")
    parser.add_argument("--side", type=int, default=160, metavar="PIXELS", help="of a detail, 32 to 512 (default: 160)")
    parser.add_argument("--baseline", default="avif", metavar="NAME", help="jpeg, webp, jxl or avif (default: avif)")
    parser.set_defaults(func=draw_people)


def _add_boxes(parser: ArgumentParser) -> None:
    _add_picture(parser)
    parser.add_argument(
        "--path",
        action="append",
        default=[],
        metavar="NAME",
        help="show this path; repeat it (default: mse, the main path, and detection)",
    )
    parser.add_argument(
        "--baseline", default="jpeg", metavar="NAME", help="jpeg, webp, jxl or avif (default: %(default)s)"
    )
    parser.set_defaults(func=draw_boxes)


def _add_scores(parser: ArgumentParser) -> None:
    _add_picture(parser)
    _add_some_paths(parser)
    parser.add_argument(
        "--task-share", type=float, default=0.5, metavar="A", help="of the tokens on the side path (default: 0.5)"
    )
    parser.set_defaults(func=draw_scores)


def _add_bits(parser: ArgumentParser) -> None:
    _add_picture(parser, quality=False)
    parser.add_argument(
        "--qualities", default="1,2,4,6,8", metavar="Q,Q", help="1 to 8, by commas (default: %(default)s)"
    )
    parser.set_defaults(func=draw_bits)


def _add_fullgrad(parser: ArgumentParser) -> None:
    _add_picture(parser)
    _add_some_paths(parser)
    parser.add_argument(
        "--class",
        dest="class_index",
        type=int,
        metavar="N",
        help="ImageNet class 0 to 999 to explain (default: the answer on the original)",
    )
    parser.add_argument("--colours", default="jet", metavar="NAME", help="a Matplotlib colour map (default: jet)")
    parser.set_defaults(func=draw_fullgrad)


def _add_transition(parser: ArgumentParser) -> None:
    _add_picture(parser)
    parser.add_argument("--path", default="classification", metavar="NAME", help="side path (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=6, metavar="N", help="shares to show, 5 to 9 (default: 6)")
    parser.add_argument("--no-classes", action="store_true", help="do not ask the classifier")
    parser.set_defaults(func=draw_transition)


def _add_rate(parser: ArgumentParser) -> None:
    parser.add_argument("--pictures", required=True, metavar="DIR", help="folder of pictures")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N pictures")
    parser.set_defaults(func=draw_rate)


def _add_curves(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--run",
        dest="runs",
        action="append",
        required=True,
        metavar="DIR",
        help="what `manypath lab eval compare` wrote; repeat it for several",
    )
    parser.set_defaults(func=draw_curves)


def draw_paths(args: Namespace) -> int:
    """Draw the paths of one stream.

    Raises:
        ManypathError: the picture, model, quality, path or a network cannot be.
    """
    name, image, output = _picture(args)
    codec = load_codec(args)
    from manypath_lab.figures import paths
    from manypath_lab.figures.masks import Segmenter

    segmenter = Segmenter(args.segmenter) if args.masks or args.segmenter else None
    classifier = None if args.no_classes else _classifier()
    data = paths.compute(
        codec, image, name, quality=args.quality, paths=args.path, classifier=classifier, segmenter=segmenter
    )
    return _say(paths.write(data, output))


def draw_people(args: Namespace) -> int:
    """Draw details of several pictures: original, main path, path for people, baseline of the same bytes.

    Raises:
        ManypathError: the folder, a picture, the model, the quality or the baseline cannot be.
    """
    from tqdm import tqdm

    from manypath_cli.jobs import find_inputs
    from manypath_pictures.reader import SUFFIXES

    if args.limit < 1:
        raise UsageError(f"--limit must be at least 1, got {args.limit}")
    files = [file for file, _ in find_inputs([args.pictures], SUFFIXES).files]
    count = min(args.limit, len(files))
    chosen = [files[number * len(files) // count] for number in range(count)]
    output = _output(args, files)
    codec = load_codec(args)
    from manypath_lab.evaluation.codecs.registry import make_baselines
    from manypath_lab.figures import people

    (baseline,) = make_baselines([args.baseline])
    loads = tqdm([(file.stem, _read(file)) for file in chosen], unit="picture", dynamic_ncols=True, disable=None)
    data = people.compute(codec, loads, quality=args.quality, side=args.side, baseline=baseline)
    return _say(people.write(data, output))


def draw_boxes(args: Namespace) -> int:
    """Draw what the detector finds.

    Raises:
        ManypathError: the picture, model, quality, path or baseline cannot be.
    """
    name, image, output = _picture(args)
    codec = load_codec(args)
    from manypath_lab.detector.boxes import OnnxDetector
    from manypath_lab.detector.export import build_graph
    from manypath_lab.detector.weights import class_names, load_detector
    from manypath_lab.evaluation.codecs.registry import make_baselines
    from manypath_lab.figures import boxes

    (baseline,) = make_baselines([args.baseline])
    detector = OnnxDetector(build_graph(load_detector()).SerializeToString(deterministic=True))
    options = {"detector": detector, "names": class_names(), "baseline": baseline, "paths": args.path}
    return _say(boxes.write(boxes.compute(codec, image, name, quality=args.quality, **options), output))


def draw_scores(args: Namespace) -> int:
    """Draw score maps.

    Raises:
        ManypathError: the picture, model, quality, path or share cannot be.
    """
    name, image, output = _picture(args)
    codec = load_codec(args)
    from manypath_lab.figures import scores

    data = scores.compute(codec, image, name, quality=args.quality, paths=args.path, task_share=args.task_share)
    return _say(scores.write(data, output))


def draw_bits(args: Namespace) -> int:
    """Draw bit maps.

    Raises:
        ManypathError: the picture, model or a quality cannot be.
    """
    name, image, output = _picture(args)
    qualities = _numbers(args.qualities)
    codec = load_codec(args)
    from manypath_lab.figures import bits

    return _say(bits.write(bits.compute(codec, image, name, qualities=qualities), output))


def draw_fullgrad(args: Namespace) -> int:
    """Draw what the classifier looks at.

    Raises:
        ManypathError: the picture, model, quality, path, class or colour map cannot be.
    """
    from matplotlib import colormaps

    name, image, output = _picture(args)
    if args.class_index is not None and not 0 <= args.class_index < 1000:
        raise UsageError(f"--class must be 0 to 999, got {args.class_index}")
    if args.colours not in colormaps:
        raise UsageError(f"--colours must be a Matplotlib colour map such as jet or cividis, got {args.colours!r}")
    codec = load_codec(args)
    from manypath_lab.figures import fullgrad

    options = {"paths": args.path, "class_index": args.class_index}
    data = fullgrad.compute(codec, image, name, quality=args.quality, classifier=_classifier(), **options)
    return _say(fullgrad.write(data, output, args.colours))


def draw_transition(args: Namespace) -> int:
    """Draw a strip over the task share.

    Raises:
        ManypathError: the picture, model, quality, path or number of steps cannot be.
    """
    name, image, output = _picture(args)
    codec = load_codec(args)
    from manypath_lab.figures import transition

    options = {"classifier": None if args.no_classes else _classifier(), "steps": args.steps}
    data = transition.compute(codec, image, name, quality=args.quality, path=args.path, **options)
    return _say(transition.write(data, output))


def draw_rate(args: Namespace) -> int:
    """Draw the share of the high-quality path and its cost.

    Raises:
        ManypathError: the folder, a picture or the model cannot be.
    """
    from tqdm import tqdm

    from manypath_cli.jobs import find_inputs
    from manypath_pictures.reader import SUFFIXES

    if args.limit is not None and args.limit < 1:
        raise UsageError(f"--limit must be at least 1, got {args.limit}")
    files = [file for file, _ in find_inputs([args.pictures], SUFFIXES).files][: args.limit]
    output = _output(args, files)
    codec = load_codec(args)
    from manypath_lab.figures import rate

    pictures = [(file.name, lambda file=file: _read(file)) for file in files]
    with tqdm(total=len(files) * len(rate.QUALITIES), unit="stream", dynamic_ncols=True, disable=None) as bar:
        data = rate.compute(codec, pictures, Path(args.pictures).resolve().name, advance=bar.update)
    return _say(rate.write(data, output))


def draw_curves(args: Namespace) -> int:
    """Draw what was measured.

    Raises:
        ManypathError: a folder holds no measurement.
    """
    from manypath_lab.figures import curves, measured

    return _say(curves.write(measured.read([Path(run) for run in args.runs]), _output(args, [])))


def _picture(args: Namespace) -> tuple[str, Image, Path]:
    """Return the picture's name and pixels, and where the figure goes."""
    file = Path(args.picture)
    return file.stem, _read(file), _output(args, [file])


def _read(file: Path) -> Image:
    from manypath_pictures.errors import PictureError
    from manypath_pictures.reader import read_picture

    try:
        return read_picture(file.read_bytes())
    except OSError as err:
        raise FileError(f"cannot read {file}: {err.strerror}") from err
    except PictureError as err:
        raise type(err)(f"{file}: {err}") from err


def _output(args: Namespace, inputs: Sequence[Path]) -> Path:
    """Return where the PNG goes; a picture that is read is never overwritten.

    Raises:
        UsageError: the name does not end in .png, or is an input's.
    """
    output = Path(args.output)
    if output.suffix.lower() != ".png":
        raise UsageError(f"--output must end in .png, got {output}")
    if any(output.resolve() == file.resolve() for file in inputs):
        raise UsageError(f"--output {output} would overwrite the picture that is drawn; choose another name")
    return output


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",") if part.strip()] or [float(text)]
    except ValueError as err:
        raise UsageError(f"--qualities must be numbers separated by commas, such as 1,4.5,8; got {text!r}") from err


def _classifier() -> Classifier:
    from manypath_lab.figures.answers import Classifier

    return Classifier()


def _say(files: Sequence[Path]) -> int:
    print("wrote " + ", ".join(str(file) for file in files))
    return 0
