"""``manypath eval cls`` and ``manypath eval seg``: what machines still see, over the rate."""

from __future__ import annotations

import argparse
import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from manypath_lab.evaluation.options import levels, names, numbers, progress, weights_version

if TYPE_CHECKING:
    from manypath_lab.evaluation.answer_cache import AnswerCache
    from manypath_lab.evaluation.task_report import TaskReport
    from manypath_lab.evaluation.task_run import Source, TaskRun
    from manypath_lab.evaluation.tasks import Case, Judge

DEFAULT_PEERS = "jpeg,webp,avif,jxl"

_CLS = """\
Ask a frozen classifier about originals and about reconstructions: top-1 against the labels, and agreement with its
own answer on the original, over real bits per pixel; every path of the model from the same streams, and JPEG, WebP,
AVIF and JPEG XL. Says at which rate each codec loses 1, 2 and 5 points, and our share of each peer's bits there, with
paired bootstrap intervals. Writes cls.csv, cls.json, cls.md and charts.

Peers' answers are kept on disk ($MANYPATH_CACHE, else ~/.cache/manypath): only the first run codes them.
"""
_CLS_EXAMPLES = """\
examples:
  manypath eval cls --pictures imagenet-val-650 --labels imagenet-val-650/labels.csv --output runs/cls
  another network, which the path was not trained with, and only the paths that matter:
    manypath eval cls --pictures imagenet-val-650 --labels imagenet-val-650/labels.csv \\
        --network lite1,lite2 --paths perceptual,classification --output runs/transfer
"""
_SEG = """\
Ask the frozen street segmenter about originals and about reconstructions: mIoU against the masks (void left out, sums
over all pictures), and the share of pixels answered as on the original, over real bits per pixel; every path of the
model from the same streams, and the peers. Otherwise as `manypath eval cls`. Writes seg.csv, seg.json, seg.md, charts.
"""
_SEG_EXAMPLES = """\
examples:
  manypath eval seg --data camvid --output runs/seg
  manypath eval seg --data camvid --limit 20 --peers jpeg --levels 1,2,4 --output runs/quick
"""


def add_parser(kinds: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``cls`` and ``seg`` to the measurements."""
    cls = _add(kinds, "cls", "a classifier's answers over rate, against peers", _CLS, _CLS_EXAMPLES)
    cls.add_argument("--pictures", required=True, metavar="DIR", help="folder that the table's files are relative to")
    cls.add_argument("--labels", metavar="CSV", help="table: file, label (default: labels.csv in DIR)")
    cls.add_argument(
        "--network", default="lite0", metavar="NAME,NAME", help="EfficientNet lite0, lite1, lite2 (default: lite0)"
    )
    cls.set_defaults(func=evaluate_cls)
    seg = _add(kinds, "seg", "a segmenter's answers over rate, against peers", _SEG, _SEG_EXAMPLES)
    seg.add_argument("--data", required=True, metavar="DIR", help="folder with SPLIT/images and SPLIT/masks")
    seg.add_argument("--split", default="val", help="(default: val)")
    seg.add_argument("--network", metavar="FILE", help="the segmenter's weights (default: the shipped ones)")
    seg.set_defaults(func=evaluate_seg)


def _add(
    kinds: argparse._SubParsersAction[argparse.ArgumentParser], name: str, summary: str, text: str, examples: str
) -> argparse.ArgumentParser:
    parser = kinds.add_parser(
        name,
        help=summary,
        description=text,
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--output", required=True, metavar="DIR", help="folder for tables and charts")
    parser.add_argument("--model", default="edge", help="a shipped model's name or a .safetensors file (default: edge)")
    parser.add_argument("--levels", default="1,2,3,4,5,6,7,8", metavar="Q,Q", help="our qualities (default: all eight)")
    parser.add_argument("--paths", metavar="NAME,NAME", help="our paths (default: all that the model has weights for)")
    parser.add_argument("--task-share", type=float, default=1.0, metavar="A", help="of side paths (default: 1)")
    parser.add_argument(
        "--peers", default=DEFAULT_PEERS, metavar="NAME,NAME", help=f"or none (default: {DEFAULT_PEERS})"
    )
    parser.add_argument("--peers-only", action="store_true", help="measure no model of ours")
    parser.add_argument("--drops", default="1,2,5", metavar="N,N", help="points lost to compare at (default: 1,2,5)")
    parser.add_argument("--limit", type=int, metavar="N", help="only N pictures, evenly spaced over the list")
    parser.add_argument("--draws", type=int, default=2000, metavar="N", help="of the bootstrap (default: 2000)")
    parser.add_argument("--device", default="cpu", help="where our model runs (default: cpu)")
    parser.add_argument("--no-cache", action="store_true", help="ask about the peers anew and remember nothing")
    return parser


def evaluate_cls(arguments: argparse.Namespace) -> int:
    """Run the classification measurement and write its files.

    Raises:
        ManypathError: a folder, model, network or peer that does not exist, or a codec that failed.
    """
    from manypath_lab.evaluation.classifiers import make_classifiers
    from manypath_lab.evaluation.scores import classification_scores
    from manypath_lab.evaluation.task_report import make_report
    from manypath_lab.evaluation.task_run import PHOTO_QUALITIES
    from manypath_lab.evaluation.tasks import load_labelled

    drops = numbers(arguments.drops, "--drops")
    folder = pathlib.Path(arguments.pictures)
    labels = pathlib.Path(arguments.labels) if arguments.labels else folder / "labels.csv"
    cases = load_labelled(folder, labels, arguments.limit)
    run = _run(arguments, cases, PHOTO_QUALITIES, make_classifiers(names(arguments.network)))
    scores = [classification_scores(run, judge, drops) for judge in range(len(run.judges))]
    name = folder.resolve().name
    return _save(arguments, make_report("cls", name, run, scores, arguments.draws))


def evaluate_seg(arguments: argparse.Namespace) -> int:
    """Run the segmentation measurement and write its files.

    Raises:
        ManypathError: a folder, model, network or peer that does not exist, or a codec that failed.
    """
    from manypath_lab.evaluation.scores import segmentation_scores
    from manypath_lab.evaluation.segmenters import SegmenterJudge
    from manypath_lab.evaluation.task_report import make_report
    from manypath_lab.evaluation.task_run import STREET_QUALITIES
    from manypath_lab.evaluation.tasks import load_masked

    drops = numbers(arguments.drops, "--drops")
    folder = pathlib.Path(arguments.data)
    cases = load_masked(folder, arguments.split, arguments.limit)
    judge = SegmenterJudge(pathlib.Path(arguments.network) if arguments.network else None)
    run = _run(arguments, cases, STREET_QUALITIES, [judge])
    name = f"{folder.resolve().name} {arguments.split}"
    return _save(arguments, make_report("seg", name, run, [segmentation_scores(run, 0, drops)], arguments.draws))


def _run(
    arguments: argparse.Namespace,
    cases: Sequence[Case],
    qualities: Mapping[str, Sequence[int]],
    judges: Sequence[Judge],
) -> TaskRun:
    from manypath_lab.evaluation.answer_cache import AnswerCache
    from manypath_lab.evaluation.task_run import count_steps, run

    cache = None if arguments.no_cache else AnswerCache()
    try:
        sources = _sources(arguments, qualities, cache)
        with progress(count_steps(sources, len(cases)), "picture") as advance:
            return run(cases, sources, judges, advance=advance)
    finally:
        if cache is not None:
            cache.close()


def _sources(
    arguments: argparse.Namespace, qualities: Mapping[str, Sequence[int]], cache: AnswerCache | None
) -> list[Source]:
    """Return our model first, then the peers.

    Raises:
        ManypathError: nothing to measure, or something asked for does not exist.
    """
    from manypath.errors import RequestError
    from manypath_lab.evaluation.peers import make_peers
    from manypath_lab.evaluation.task_run import CodecSource, PeerSource, served_paths

    sources: list[Source] = []
    if not arguments.peers_only:
        from manypath.codec import Codec

        codec = Codec.load(arguments.model, device=arguments.device)
        paths = names(arguments.paths) if arguments.paths else served_paths(codec)
        requests = [(path, arguments.task_share) for path in paths]
        version = weights_version(arguments.model, codec)
        sources.append(CodecSource(codec, requests, version=version, levels=levels(arguments.levels)))
    peers = [] if arguments.peers == "none" else names(arguments.peers)
    sources += [PeerSource(peer, cache, qualities.get(peer.name)) for peer in make_peers(peers)]
    if not sources:
        raise RequestError("nothing to measure: --peers-only with --peers none; name at least one peer")
    return sources


def _save(arguments: argparse.Namespace, report: TaskReport) -> int:
    from manypath_lab.evaluation.task_report import save_report, summary

    output = pathlib.Path(arguments.output)
    output.mkdir(parents=True, exist_ok=True)
    files = save_report(report, output)
    print("\n".join(summary(report)))
    print(f"{len(report.run.cases)} picture(s); wrote {', '.join(file.name for file in files)} to {output}")
    return 0
