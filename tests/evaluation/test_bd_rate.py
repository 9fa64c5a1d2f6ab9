import pytest

from manypath_lab.evaluation.bd_rate import bd_rate
from manypath_lab.evaluation.codecs.codec import Line
from manypath_lab.evaluation.curve import Curve, Point
from manypath_lab.evaluation.judges.fidelity import PsnrJudge, SimilarityJudge

(PSNR,) = PsnrJudge.measures
(SIMILARITY,) = SimilarityJudge.measures


def curve(name: str, rates: list[float], values: list[float]) -> Curve:
    points = (Point(i, rate, value) for i, (rate, value) in enumerate(zip(rates, values, strict=True)))
    return Curve(Line(name, name, "1"), tuple(points))


DECIBELS = [27.0, 29.5, 32.0, 34.0, 37.0]
ANCHOR = curve("anchor", [0.1, 0.22, 0.41, 0.7, 1.3], DECIBELS)


@pytest.mark.parametrize("factor", [0.5, 0.8, 1.25])
def test_a_codec_that_needs_a_constant_share_of_the_bits_gets_exactly_that(factor: float) -> None:
    other = curve("other", [factor * point.bpp for point in ANCHOR.points], DECIBELS)
    found = bd_rate(other, ANCHOR, PSNR)
    assert found.percent == pytest.approx(100 * (factor - 1))
    assert (found.low_db, found.high_db, found.overlap) == (27.0, 37.0, 1.0)


def test_only_the_shared_range_of_quality_counts_and_is_reported() -> None:
    other = curve("other", [0.2, 0.35, 0.6, 1.1, 2.0], [29.0, 31.0, 33.0, 35.0, 39.0])
    found = bd_rate(other, ANCHOR, PSNR)
    assert found.percent is not None
    assert (found.low_db, found.high_db) == (29.0, 37.0)
    assert found.overlap == pytest.approx(8 / 12)


def test_curves_without_a_shared_range_have_no_figure() -> None:
    found = bd_rate(curve("low", [0.01, 0.02, 0.03, 0.04], [10.0, 11.0, 12.0, 13.0]), ANCHOR, PSNR)
    assert found.percent is None
    assert "share no quality range" in found.note


def test_a_point_that_folds_back_is_left_out_and_counted() -> None:
    bent = curve("bent", [0.1, 0.22, 0.3, 0.41, 0.7, 1.3], [27.0, 29.5, 29.0, 32.0, 34.0, 37.0])
    found = bd_rate(bent, ANCHOR, PSNR)
    assert found.percent == pytest.approx(0.0, abs=1e-9)
    assert found.note.startswith("1 points not on a rising curve")


def test_too_few_points_have_no_figure() -> None:
    found = bd_rate(curve("short", [0.1, 0.2, 0.3], [27.0, 29.0, 31.0]), ANCHOR, PSNR)
    assert found.percent is None
    assert "4 each are needed" in found.note


def test_similarity_is_compared_on_its_decibel_scale() -> None:
    """Equal steps of 1 - value are equal decibels: the range is that of -10 log10(1 - value)."""
    similar = curve("similar", [0.1, 0.2, 0.4, 0.8], [0.9, 0.97, 0.99, 0.999])
    found = bd_rate(similar, similar, SIMILARITY)
    assert found.percent == pytest.approx(0.0, abs=1e-9)
    assert (found.low_db, found.high_db) == pytest.approx((10.0, 30.0))
