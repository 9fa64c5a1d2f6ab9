"""Figures of many pictures: the rate's rule and cost, and what was measured."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from manypath_lab.evaluation.codecs.codec import Line
from manypath_lab.evaluation.comparison import compare
from manypath_lab.evaluation.judges.registry import make_judges
from manypath_lab.evaluation.report import to_json
from manypath_lab.evaluation.run import Run, Track


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


def _measured(folder, *tracks, judges=("psnr", "ms-ssim")):
    """Return the JSON of a comparison on two pictures: lines are (name, path, decibels above 26 at the lowest rate)."""
    made = make_judges(judges)
    values = {
        "psnr": 26.0 + np.arange(5),
        "ms-ssim": 0.91 + 0.01 * np.arange(5),
        "perceptual": 3.0 - 0.5 * np.arange(5),
    }
    rates = 0.1 * np.arange(1, 6)
    lines = []
    for name, path, offset in tracks:
        shifted = {**values, "psnr": values["psnr"] + offset}
        records = [np.stack([shifted[judge], np.ones(5)], -1)[None].repeat(2, 0) for judge in judges]
        line = Line(name, f"Manypath {path}" if path else name.upper(), "1", path)
        lines.append(Track(line, tuple(range(1, 6)), np.stack([rates] * 2), tuple(records)))
    originals = tuple(np.ones((2, 2)) for _ in judges)
    return to_json(compare(folder, Run(("a", "b"), "00", tuple(made), originals, tuple(lines))))


def test_curves_draws_what_eval_wrote_ours_first(figure, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "kodak.json").write_text(_measured("kodak", ("jpeg", "", 0), ("edge-mse", "mse", 2)))
    made = figure("curves", "--run", run)
    assert made.size[0] == 1920
    assert [panel["measure"] for panel in made.facts["panels"]] == ["psnr", "ms-ssim"]
    first = made.facts["panels"][0]
    assert [(line["name"], line["path"]) for line in first["lines"]] == [("edge-mse", "mse"), ("jpeg", "")]
    assert first["lines"][0]["points"][0] == [pytest.approx(0.1), pytest.approx(28)]
    assert made.facts["panels"][1]["lines"][1]["points"][0][1] == pytest.approx(10.4576, abs=1e-3)  # -10 log10(0.09)
    assert len(_rows(made.file)) == 2 * 2 * 5


def test_published_curves_are_left_out(figure, tmp_path):
    content = json.loads(_measured("kodak", ("jpeg", "", 0), ("edge-mse", "mse", 2)))
    vtm = {**content["verdicts"][0]["curves"][0], "name": "vtm", "published": True}
    content["verdicts"][0]["curves"].append(vtm)
    (tmp_path / "kodak.json").write_text(json.dumps(content))
    (fidelity, _) = figure("curves", "--run", tmp_path).facts["panels"]
    assert [line["name"] for line in fidelity["lines"]] == ["edge-mse", "jpeg"]


def test_curves_joins_fidelity_perception_and_answers_of_the_first_network(figure, tmp_path):
    points = [{"bpp": 0.1 * n, "value": 70.0 + n} for n in range(1, 4)]
    curves = [
        {"name": name, "label": name, "path": path, "published": False, "points": points}
        for name, path in (("avif", ""), ("m", "mse"))
    ]
    verdict = {"judge": "lite0", "measure": "top1", "original": 80.0, "curves": curves}
    pictures = {"folder": "photos", "measured": 9}
    others = [{**verdict, "measure": "agreement"}, {**verdict, "judge": "lite1"}, {**verdict, "measure": "psnr"}]
    (tmp_path / "photos.json").write_text(json.dumps({"pictures": pictures, "verdicts": [verdict, *others]}))
    plain = _measured("kodak", ("m", "mse", 0), judges=("psnr", "ms-ssim", "perceptual"))
    (tmp_path / "kodak.json").write_text(plain)
    made = figure("curves", "--run", tmp_path)
    assert [panel["measure"] for panel in made.facts["panels"]] == ["psnr", "perceptual", "top1"]
    fidelity, _, top1 = made.facts["panels"]
    assert fidelity["folder"] == "kodak"  # of plain pictures, not of those that a machine was asked about
    assert (top1["unit"], top1["pictures"], top1["originals"]) == ("top-1 of lite0, %; up is better", 9, 80.0)
    assert [line["name"] for line in top1["lines"]] == ["m", "avif"]


def test_runs_on_the_same_pictures_add_curves_and_on_others_replace_them(figure, tmp_path):
    for name, folder, track in (
        ("one", "kodak", ("edge", "perceptual", 0)),
        ("two", "kodak", ("edge-mse", "mse", 1)),
        ("three", "cid", ("jpeg", "", 1)),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{folder}.json").write_text(_measured(folder, track))
    both = figure("curves", "--run", tmp_path / "one", "--run", tmp_path / "two")
    assert [line["path"] for line in both.facts["panels"][0]["lines"]] == ["perceptual", "mse"]
    last = figure("curves", "--run", tmp_path / "one", "--run", tmp_path / "three")
    assert [line["name"] for line in last.facts["panels"][0]["lines"]] == ["jpeg"]


def test_a_folder_without_a_measurement_is_refused(capsys, tmp_path):
    from manypath_cli.main import main

    (tmp_path / "other.json").write_text(json.dumps({"something": 1}))
    assert main(["lab", "figure", "curves", "--run", str(tmp_path), "-o", str(tmp_path / "c.png")]) != 0
    assert "manypath lab eval" in capsys.readouterr().err


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
    assert main(["lab", "figure", kind, "--picture", str(picture), "--model", "tiny-random-sides", *rest]) not in (0, 1)
    error = capsys.readouterr().err
    assert any(part in error for part in message.split("|")), error


def test_the_picture_that_is_drawn_is_never_overwritten(capsys, picture):
    from manypath_cli.main import main

    before = picture.read_bytes()
    assert main(["lab", "figure", "bits", "--picture", str(picture), "--output", str(picture)]) == 2
    assert "overwrite" in capsys.readouterr().err
    assert picture.read_bytes() == before


@pytest.mark.parametrize("kind", ["paths", "scores", "bits", "fullgrad", "transition", "rate", "curves"])
def test_the_help_of_each_figure_teaches_with_an_example(capsys, kind):
    from manypath_cli.main import main

    with pytest.raises(SystemExit, match="0"):
        main(["lab", "figure", kind, "--help"])
    assert f"manypath lab figure {kind} " in capsys.readouterr().out.partition("example:")[2]
