"""Figures of many pictures: the rate's rule and cost, and what was measured."""

import csv
import json

import pytest
from PIL import Image

from manypath_lab.evaluation.curve import Curve, RatePoint
from manypath_lab.evaluation.report import Report, to_json


def _rows(file):
    with file.with_suffix(".csv").open(encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def test_rate_begins_with_nothing_and_ends_with_all_on_the_high_quality_path(figure, image, codec, tmp_path):
    folder = tmp_path / "two"
    folder.mkdir()
    for name in ("a.png", "b.png"):
        Image.fromarray(image[: 64 if name == "a.png" else 100]).save(folder / name)
    made = figure("rate", "--pictures", folder)
    rows = _rows(made.file)
    assert len(rows) == 2 * 8
    assert [float(row["rho_enc"]) for row in rows if row["quality"] in ("1", "8")] == [0.0, 1.0] * 2
    assert made.facts["rho_enc"]["4"] == pytest.approx((5 ** (3 / 7) - 1) / 4)
    whole = next(row for row in rows if row["picture"] == "b.png" and row["quality"] == "5")
    assert int(whole["bitstream_bytes"]) == len(codec.encode(image, quality=5))
    means = [float(row["bpp"]) for row in rows if row["quality"] == "8"]
    assert made.facts["mean_bpp"][-1]["bpp"] == pytest.approx(sum(means) / 2, abs=1e-5)


def _curve(name, label, offset, **options):
    points = [RatePoint(q, 0.1 * q, 25 + q + offset, 0.9 + 0.01 * q, 3) for q in range(1, 6)]
    return Curve(name, label, "1", tuple(points), **options)


def test_curves_draws_what_eval_wrote_ours_first_and_published_ones_left_out(figure, tmp_path):
    curves = (_curve("jpeg", "JPEG", 0), _curve("edge-mse", "Manypath edge mse", 2, ours=True))
    quoted = (_curve("vtm", "VTM", 4, reference=True),)
    run = tmp_path / "rd"
    run.mkdir()
    (run / "rd.json").write_text(to_json(Report("kodak", "00", 3, (), curves, quoted, (), "pchip")))
    made = figure("curves", "--run", run)
    assert made.size[0] == 1920
    assert [panel["measure"] for panel in made.facts["panels"]] == ["psnr", "ms-ssim"]
    first = made.facts["panels"][0]
    assert [(line["name"], line["path"]) for line in first["lines"]] == [("edge-mse", "mse"), ("jpeg", "")]
    assert first["lines"][0]["points"][0] == [pytest.approx(0.1), pytest.approx(28)]
    assert made.facts["panels"][1]["lines"][1]["points"][0][1] == pytest.approx(10.4576, abs=1e-3)  # -10 log10(0.09)
    assert len(_rows(made.file)) == 2 * 2 * 5


def test_curves_joins_rate_answers_and_perception(figure, tmp_path):
    points = [{"bpp": 0.1 * n, "percent": 70.0 + n} for n in range(1, 4)]
    lines = [
        {"name": name, "label": name, "path": path, "points": points} for name, path in (("avif", ""), ("m", "mse"))
    ]
    verdict = {"network": "lite0", "score": "top1", "original_percent": 80.0, "curves": lines}
    pictures = {"folder": "photos", "measured": 9}
    others = [{**verdict, "score": "agreement"}, {**verdict, "network": "lite1"}]
    (tmp_path / "cls.json").write_text(json.dumps({"pictures": pictures, "verdicts": [verdict, *others]}))
    rows = ["pictures,metric,path,quality,value,original"]
    rows += [f"kodak,{metric},mse,{q},{q / 10},," for q in (1, 2) for metric in ("bpp", "perceptual", "psnr")]
    (tmp_path / "cross.csv").write_text("\n".join(rows) + "\n")
    made = figure("curves", "--run", tmp_path)
    assert [panel["measure"] for panel in made.facts["panels"]] == ["perceptual", "top1"]
    perceptual, top1 = made.facts["panels"]
    assert [(line["path"], line["points"]) for line in perceptual["lines"]] == [("mse", [[0.1, 0.1], [0.2, 0.2]])]
    assert (top1["unit"], top1["pictures"], top1["originals"]) == ("top-1 of lite0, %; up is better", 9, 80.0)
    assert [line["name"] for line in top1["lines"]] == ["m", "avif"]


def test_runs_on_the_same_pictures_add_curves_and_on_others_replace_them(figure, tmp_path):
    for name, folder, curve in (
        ("one", "kodak", _curve("edge", "Manypath edge", 0, ours=True)),
        ("two", "kodak", _curve("edge-mse", "Manypath edge mse", 1, ours=True)),
        ("three", "cid", _curve("jpeg", "JPEG", 1)),
    ):
        (tmp_path / name).mkdir()
        report = Report(folder, "00", 3, (), (curve,), (), (), "pchip")
        (tmp_path / name / "rd.json").write_text(to_json(report))
    both = figure("curves", "--run", tmp_path / "one", "--run", tmp_path / "two")
    assert [line["path"] for line in both.facts["panels"][0]["lines"]] == ["perceptual", "mse"]
    last = figure("curves", "--run", tmp_path / "one", "--run", tmp_path / "three")
    assert [line["name"] for line in last.facts["panels"][0]["lines"]] == ["jpeg"]


def test_a_folder_without_a_measurement_is_refused(capsys, tmp_path):
    from manypath_cli.main import main

    (tmp_path / "other.json").write_text(json.dumps({"something": 1}))
    assert main(["figure", "curves", "--run", str(tmp_path), "-o", str(tmp_path / "c.png")]) != 0
    assert "manypath eval" in capsys.readouterr().err


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["paths", "--path", "boats"], "path must be one of"),
        (["scores", "--path", "perceptual"], "no scores"),
        (["transition", "--path", "perceptual"], "side path"),
        (["transition", "--steps", "12"], "5 to 9"),
        (["bits", "--qualities", "1,x"], "by commas|separated by commas"),
        (["bits", "--qualities", "9"], "quality must be"),
        (["fullgrad", "--class", "1000"], "0 to 999"),
        (["fullgrad", "--colours", "mauve"], "colour map"),
        (["paths", "--output", "figure.jpg"], "must end in .png"),
    ],
)
def test_a_figure_that_cannot_be_is_refused_in_words(capsys, picture, arguments, message):
    from manypath_cli.main import main

    kind, *rest = arguments
    assert main(["figure", kind, "--picture", str(picture), "--model", "tiny-random-sides", *rest]) not in (0, 1)
    error = capsys.readouterr().err
    assert any(part in error for part in message.split("|")), error


def test_the_picture_that_is_drawn_is_never_overwritten(capsys, picture):
    from manypath_cli.main import main

    before = picture.read_bytes()
    assert main(["figure", "bits", "--picture", str(picture), "--output", str(picture)]) == 2
    assert "overwrite" in capsys.readouterr().err
    assert picture.read_bytes() == before


@pytest.mark.parametrize("kind", ["paths", "scores", "bits", "fullgrad", "transition", "rate", "curves"])
def test_the_help_of_each_figure_teaches_with_an_example(capsys, kind):
    from manypath_cli.main import main

    with pytest.raises(SystemExit, match="0"):
        main(["figure", kind, "--help"])
    assert f"manypath figure {kind} " in capsys.readouterr().out.partition("example:")[2]
