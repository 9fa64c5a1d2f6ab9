"""``manypath eval ablation``: what the encoder's choice of paths is worth."""

from __future__ import annotations

import argparse
import pathlib

from manypath_lab.evaluation.options import levels, progress, weights_version

_DESCRIPTION = """\
Encode with the model's own choice of paths, with a random one, without the high-quality path and without the
low-quality path, and compare them by real bytes. Nothing is trained. Writes ablation.csv, .json, .md and the plots
rd-psnr and rd-ms-ssim.
"""
_EXAMPLES = """\
examples:
  manypath eval ablation --pictures cid22-val --output runs/ablation
"""

_REMARK = "one choice of paths exchanged for another in the analysis; weights as they are, nothing trained anew"


def add_parser(kinds: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``ablation`` to the measurements."""
    parser = kinds.add_parser(
        "ablation",
        help="the encoder with a random choice of paths, or with one path only",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--pictures", required=True, metavar="DIR", help="folder of PNG, JPEG, WebP ... files")
    parser.add_argument("--output", required=True, metavar="DIR", help="folder for tables and plots")
    parser.add_argument("--model", default="edge", help="a shipped model's name or a .safetensors file (default: edge)")
    parser.add_argument("--levels", default="1,2,3,4,5,6,7,8", metavar="Q,Q", help="qualities (default: all eight)")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N pictures")
    parser.set_defaults(func=evaluate_ablation)


def evaluate_ablation(arguments: argparse.Namespace) -> int:
    """Run the measurement and write its files.

    Raises:
        ManypathError: a folder or model that does not exist, or the codec failed.
    """
    from manypath_lab.evaluation import rd, report
    from manypath_lab.evaluation.ablation import FULL, VARIANTS, make_codec
    from manypath_lab.evaluation.bdrate import bd_table
    from manypath_lab.evaluation.pictures import list_pictures
    from manypath_lab.evaluation.plot import save_plots

    files = list_pictures(arguments.pictures, arguments.limit)
    qualities = levels(arguments.levels)
    candidates = []
    for variant in VARIANTS:
        codec = make_codec(arguments.model, variant)
        candidate = rd.CodecCandidate(codec, name=variant.name, levels=qualities)
        candidate.label = variant.label
        candidate.version = weights_version(arguments.model, codec)
        candidates.append(candidate)
    with progress(rd.count_steps(candidates, len(files)), "point") as advance:
        measured = rd.run(files, candidates, advance=advance)
    full = next(curve for curve in measured.curves if curve.name == FULL)
    others = [curve for curve in measured.curves if curve.name != FULL]
    comparisons = tuple(bd_table(others, [full], "pchip"))
    found = report.Report(
        pathlib.Path(arguments.pictures).resolve().name,
        measured.folder,
        measured.pictures,
        measured.skipped,
        measured.curves,
        (),
        comparisons,
        "pchip",
        (_REMARK,),
    )
    output = pathlib.Path(arguments.output)
    output.mkdir(parents=True, exist_ok=True)
    for suffix, text in (
        ("csv", report.to_csv(found)),
        ("json", report.to_json(found)),
        ("md", report.to_markdown(found)),
    ):
        (output / f"ablation.{suffix}").write_text(text, encoding="utf-8")
    save_plots(found, output)
    print("\n".join(report.bd_lines(comparisons)))
    print(f"{found.pictures} picture(s); wrote ablation.csv, .json, .md and plots to {output}")
    return 0
