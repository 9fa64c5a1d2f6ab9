"""What a run says: every measure's curves, delta rates and bits at equal accuracy, of lines against anchors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from manypath.errors import RequestError
from manypath_lab.evaluation.bd_rate import BdRate, bd_rate, decibel_axis
from manypath_lab.evaluation.curve import Curve, measured
from manypath_lab.evaluation.equal_accuracy import DRAWS, EqualAccuracy, Gain, equal_accuracy, gains
from manypath_lab.evaluation.judges.judge import Judge, Measure
from manypath_lab.evaluation.published import published
from manypath_lab.evaluation.run import Run
from manypath_lab.evaluation.score import Score, scores


class Verdict(NamedTuple):
    """One measure of one judge.

    Attributes:
        judge: who was asked.
        measure: what was measured.
        original: the originals' figure.
        curves: one per line, then published ones.
        bd_rates: of lines against anchors, where the measure has a scale for them.
        equal: bits at equal accuracy, where the measure is an accuracy; else None.
        gains: of each side path over the main path on the same streams, for an accuracy.
    """

    judge: Judge
    measure: Measure
    original: float
    curves: tuple[Curve, ...]
    bd_rates: tuple[BdRate, ...] = ()
    equal: EqualAccuracy | None = None
    gains: tuple[Gain, ...] = ()


class Comparison(NamedTuple):
    """Everything that was found on one set of pictures.

    Attributes:
        name: of the set, the stem of the files.
        digest: of its pictures.
        pictures: how many were measured.
        skipped: one message per picture that was left out.
        draws: of the bootstrap.
        verdicts: one per measure.
        note: what a reader must know to read the figures, or empty.
        path: our path that the set is the home of.
    """

    name: str
    digest: str
    pictures: int
    skipped: tuple[str, ...]
    draws: int
    verdicts: tuple[Verdict, ...]
    note: str = ""
    path: str = ""


def compare(
    name: str,
    run: Run,
    *,
    anchors: Sequence[str] = (),
    drops: Sequence[float] = (),
    draws: int = DRAWS,
    note: str = "",
    path: str = "",
) -> Comparison:
    """Compare a run's lines.

    Args:
        name: of the set of pictures.
        run: its records.
        anchors: names of lines to compare with; by default all that are not ours, published ones included, and if
            none is ours, all.
        drops: points lost at which accuracies are compared; the measure's own by default.
        draws: of the bootstrap.
        note: for the reader.
        path: our path that the set is the home of.

    Raises:
        RequestError: there is no line of an anchor's name.
    """
    quoted = [curve.line.name for curve in published(run.digest, "psnr")]
    known = [*(track.line.name for track in run.tracks), *quoted]
    missing = [anchor for anchor in anchors if anchor not in known]
    if missing:
        raise RequestError(
            f"--against must be among the lines of this run ({', '.join(known)}), got {', '.join(missing)}; "
            "a baseline must be listed with --baseline"
        )
    verdicts = tuple(_verdict(run, score, anchors, drops, draws) for score in scores(run))
    return Comparison(name, run.digest, len(run.names), run.skipped, draws, verdicts, note, path)


def _verdict(run: Run, score: Score, anchors: Sequence[str], drops: Sequence[float], draws: int) -> Verdict:
    lines = [track.line for track in run.tracks]
    curves = [*measured(run, score), *published(run.digest, score.measure.name)]
    own = [number for number, line in enumerate(lines) if line.ours] or range(len(lines))
    against = [
        number
        for number, curve in enumerate(curves)
        if (curve.line.name in anchors if anchors else number not in own or not lines[own[0]].ours)
    ]
    pairs = [(number, anchor) for number in own for anchor in against if number != anchor]
    verdict = Verdict(score.judge, score.measure, float(score.of_original()[0]), tuple(curves))
    if score.measure.decibels is not None:
        rates = [bd_rate(curves[number], curves[anchor], score.measure) for number, anchor in pairs]
        return verdict._replace(bd_rates=tuple(rates))
    if not score.measure.drops:
        return verdict
    within = [(number, anchor) for number, anchor in pairs if anchor < len(lines)]
    equal = equal_accuracy(score, run.tracks, within, tuple(drops) or score.measure.drops, draws=draws)
    main = next((number for number, line in enumerate(lines) if line.main), None)
    ahead = [
        gain
        for number, line in enumerate(lines)
        if line.ours and main is not None and number != main and line.version == lines[main].version
        for gain in gains(score, main, number, run.tracks[number], draws=draws)
    ]
    return verdict._replace(equal=equal, gains=tuple(ahead))


def rows(verdict: Verdict, curve: Curve) -> list[tuple[float, ...]]:
    """Return a curve as (quality, bpp, value, lost), lost against the originals."""
    return [(*point, verdict.original - point.value) for point in curve.points]


def axis(verdict: Verdict, curve: Curve) -> list[tuple[float, float]]:
    """Return what is drawn of a curve: (bpp, decibels) where the measure has such a scale, else (bpp, value)."""
    return decibel_axis(curve, verdict.measure) or [(point.bpp, point.value) for point in curve.points]
