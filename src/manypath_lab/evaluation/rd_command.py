"""``manypath eval rd``: the command around the rate-distortion measurement."""

from __future__ import annotations

import argparse
import pathlib
import sys
from typing import TYPE_CHECKING

from manypath_lab.evaluation.options import levels, names, progress

if TYPE_CHECKING:
    from manypath_lab.evaluation.cache import PointCache
    from manypath_lab.evaluation.rd import Candidate, Measurement
    from manypath_lab.evaluation.report import Report

DEFAULT_PEERS = "jpeg,webp,jxl,avif,vvc"

_DESCRIPTION = """\
Encode and decode every picture of a folder, at every level, with our codec and with its peers, and compare
them by real bytes, headers included. Writes rd.csv, rd.json, rd.md and the plots rd-psnr, rd-ms-ssim and, with
--perceptual, rd-perceptual (PNG and SVG).

Peers' points are kept on disk ($MANYPATH_CACHE, else ~/.cache/manypath), so only the first run is slow; VVC
takes 5 to 20 seconds a picture and point the first time. A run that was stopped goes on where it was.
"""

_EXAMPLES = """\
examples:
  the shipped model on Kodak, against everything:
    manypath eval rd --pictures kodak --checkpoint edge --output runs/kodak

  two checkpoints while training, quick peers only, BD-rates against JPEG and WebP:
    manypath eval rd --pictures cid22-val --checkpoint runs/a/ema.safetensors --checkpoint edge \\
        --peers jpeg,webp --against jpeg,webp --output runs/compare

  fill the peers' cache overnight, without a model:
    manypath eval rd --pictures kodak --peers-only --output runs/peers
"""


def add_parser(kinds: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``rd`` to the measurements."""
    parser = kinds.add_parser(
        "rd",
        help="rate and distortion on a folder of pictures, against peers",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--pictures", required=True, metavar="DIR", help="folder of PNG, JPEG, WebP ... files")
    parser.add_argument("--output", required=True, metavar="DIR", help="folder for tables and plots")
    parser.add_argument(
        "--checkpoint",
        action="append",
        metavar="NAME",
        help="a shipped model's name or a .safetensors file; give it again for more curves (default: edge)",
    )
    parser.add_argument(
        "--levels",
        default="1,2,3,4,5,6,7,8",
        metavar="Q,Q",
        help="our qualities, 1 to 8 (default: all eight)",
    )
    parser.add_argument(
        "--path",
        default="perceptual",
        metavar="NAME,NAME",
        help="the decoder's paths, a curve each (default: perceptual)",
    )
    parser.add_argument(
        "--perceptual",
        action="store_true",
        help="measure a distance of deep features as well; peers that were measured without it are coded again",
    )
    parser.add_argument(
        "--task-share", type=float, default=1.0, metavar="A", help="share of a side path, 0 to 1 (default: 1)"
    )
    parser.add_argument(
        "--peers",
        default=DEFAULT_PEERS,
        metavar="NAME,NAME",
        help=f"codecs to compare with, or none (default: {DEFAULT_PEERS}; also: avif-psnr)",
    )
    parser.add_argument("--peers-only", action="store_true", help="measure no model of ours")
    parser.add_argument(
        "--against",
        metavar="NAME,NAME",
        help="anchors of the BD-rates: peers, models or published curves such as vtm (default: all)",
    )
    parser.add_argument(
        "--reference",
        choices=("auto", "kodak", "none"),
        default="auto",
        help="published VTM, BPG and TinyLIC points; auto: if the pictures are Kodak's (default: auto)",
    )
    parser.add_argument("--bd-method", choices=("pchip", "akima"), default="pchip", help="(default: pchip)")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N pictures")
    parser.add_argument("--device", default="cpu", help="where our model runs (default: cpu)")
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"), help="(default: float32)")
    parser.add_argument("--no-cache", action="store_true", help="measure the peers anew and remember nothing")
    parser.set_defaults(func=evaluate_rd)


def evaluate_rd(arguments: argparse.Namespace) -> int:
    """Run the measurement and write its files.

    Raises:
        ManypathError: A folder, model, peer or anchor that does not exist, or a codec that failed.
    """
    from manypath_lab.evaluation import rd, report
    from manypath_lab.evaluation.cache import PointCache
    from manypath_lab.evaluation.pictures import list_pictures
    from manypath_lab.evaluation.plot import save_plots

    files = list_pictures(arguments.pictures, arguments.limit)
    output = pathlib.Path(arguments.output)
    output.mkdir(parents=True, exist_ok=True)
    cache = None if arguments.no_cache else PointCache()
    try:
        candidates = _candidates(arguments, cache)
        with progress(rd.count_steps(candidates, len(files)), "point") as advance:
            measurement = rd.run(files, candidates, advance=advance)
    finally:
        if cache is not None:
            cache.close()
    found = _report(arguments, measurement)
    written = {
        "rd.csv": report.to_csv(found),
        "rd.json": report.to_json(found),
        "rd.md": report.to_markdown(found),
    }
    for name, text in written.items():
        (output / name).write_text(text, encoding="utf-8")
    plots = save_plots(found, output)
    _print_summary(found, [*written, *(plot.name for plot in plots)], output)
    return 0


def _candidates(arguments: argparse.Namespace, cache: PointCache | None) -> list[Candidate]:
    """Return our models first, then the peers.

    Raises:
        ManypathError: Nothing to measure, or something asked for does not exist.
    """
    from manypath.errors import RequestError
    from manypath.paths import check_path
    from manypath_lab.evaluation.peers import make_peers
    from manypath_lab.evaluation.rd import CodecCandidate, PeerCandidate

    perceive = None
    if arguments.perceptual:
        from manypath_lab.evaluation.appearance import PerceptualDistance

        perceive = PerceptualDistance()
    candidates: list[Candidate] = []
    if not arguments.peers_only:
        from manypath.codec import Codec

        wanted = levels(arguments.levels)
        for checkpoint in arguments.checkpoint or ["edge"]:
            codec = Codec.load(checkpoint, device=arguments.device, dtype=arguments.dtype)
            paths = [check_path(path, codec.trained_paths) for path in names(arguments.path)]
            name = _unique(codec.name, [candidate.name for candidate in candidates])
            candidates += [
                CodecCandidate(
                    codec, name=name, levels=wanted, path=path, task_share=arguments.task_share, perceive=perceive
                )
                for path in paths
            ]
    peers = [] if arguments.peers == "none" else names(arguments.peers)
    candidates += [PeerCandidate(peer, cache, perceive) for peer in make_peers(peers)]
    if not candidates:
        raise RequestError("nothing to measure: --peers-only with --peers none; name at least one peer")
    return candidates


def _report(arguments: argparse.Namespace, measurement: Measurement) -> Report:
    """Add published curves and delta rates to what was measured.

    Raises:
        RequestError: An anchor that is not among the curves.
    """
    from manypath.errors import RequestError
    from manypath_lab.evaluation.bdrate import bd_table
    from manypath_lab.evaluation.reference import fits, reference_for
    from manypath_lab.evaluation.report import Report

    references = reference_for(measurement.folder, arguments.reference)
    known = {curve.name: curve for curve in (*measurement.curves, *references)}
    wanted = names(arguments.against) if arguments.against else list(known)
    missing = [name for name in wanted if name not in known]
    if missing:
        raise RequestError(
            f"--against must be among the curves of this run ({', '.join(known)}), got {', '.join(missing)}; "
            "vtm, bpg and tinylic need --reference kodak, a codec must be listed in --peers"
        )
    ours = [curve for curve in measurement.curves if curve.ours]
    tested = ours or list(measurement.curves)
    comparisons = bd_table(tested, [known[name] for name in wanted], arguments.bd_method)
    remarks: tuple[str, ...] = ()
    if references and not fits(measurement.folder, arguments.reference):
        remarks = ("the published curves are of other pictures than these: compare with them only roughly",)
    return Report(
        pathlib.Path(arguments.pictures).resolve().name,
        measurement.folder,
        measurement.pictures,
        measurement.skipped,
        measurement.curves,
        references,
        tuple(comparisons),
        arguments.bd_method,
        remarks,
    )


def _print_summary(found: Report, files: list[str], output: pathlib.Path) -> None:
    from manypath_lab.evaluation.report import bd_lines

    for curve in found.curves:
        points = " ".join(f"{point.bpp:.3f}/{point.psnr_db:.2f}" for point in curve.points)
        print(f"{curve.label} (bpp/dB): {points}")
    for line in bd_lines(found.comparisons):
        print(line)
    for remark in found.remarks:
        print(f"note: {remark}", file=sys.stderr)
    for message in found.skipped:
        print(f"left out: {message}", file=sys.stderr)
    print(f"{found.pictures} picture(s); wrote {', '.join(files)} to {output}")


def _unique(name: str, taken: list[str]) -> str:
    """Tell two checkpoints of one name apart by a number."""
    number, unique = 2, name
    while unique in taken:
        unique, number = f"{name}-{number}", number + 1
    return unique
