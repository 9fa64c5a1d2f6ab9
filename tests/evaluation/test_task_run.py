"""Answers of judges whose rule is known, through real codecs."""

import csv
import json
import pathlib
from collections.abc import Sequence

import numpy as np
import pytest
from PIL import Image

from manypath.codec import Codec
from manypath.errors import ImageError
from manypath_lab.evaluation.answer_cache import AnswerCache
from manypath_lab.evaluation.equal_answer import Ratio
from manypath_lab.evaluation.peers import Jpeg
from manypath_lab.evaluation.pictures import Pixels
from manypath_lab.evaluation.scores import classification_scores, segmentation_scores
from manypath_lab.evaluation.segmenters import confusion
from manypath_lab.evaluation.task_report import _finding, make_report, save_report, to_csv
from manypath_lab.evaluation.task_run import CodecSource, PeerSource, run
from manypath_lab.evaluation.tasks import Case, Record, evenly, load_labelled, load_masked
from tests.evaluation.conftest import synthetic_picture


class BrightnessJudge:
    """Says which quarter of the range the mean lies in: coding hardly moves it, so answers are known."""

    name = "brightness"
    label = "brightness"
    version = "brightness 1"

    def __init__(self) -> None:
        self.seen = 0

    def question(self, case: Case) -> str:
        return ""

    def examine(self, cases: Sequence[Case], images: Sequence[Pixels]) -> list[Record]:
        self.seen += len(images)
        return [np.asarray([int(image.mean() // 64)], dtype=np.int32) for image in images]


class SkyJudge:
    """Calls pixels above mid-grey class 0, others class 1, on smooth pictures with a hard edge."""

    name = "sky"
    label = "sky"
    version = "sky 1"

    def question(self, case: Case) -> str:
        return "mask"

    def examine(self, cases: Sequence[Case], images: Sequence[Pixels]) -> list[Record]:
        records = []
        for case, image in zip(cases, images, strict=True):
            answer = (image.mean(-1) < 128).astype(np.uint8)
            own = (case.picture.pixels.mean(-1) < 128).astype(np.uint8)
            counts = confusion(case.truth, answer, 2)
            records.append(np.asarray([*counts, np.count_nonzero(answer == own), answer.size], dtype=np.int32))
        return records


class CountingJpeg(Jpeg):
    """JPEG that counts how often it really encodes."""

    def __init__(self) -> None:
        super().__init__()
        self.encoded = 0

    def encode(self, pixels: Pixels, quality: int) -> bytes:
        self.encoded += 1
        return super().encode(pixels, quality)


@pytest.fixture
def photos(tmp_path: pathlib.Path) -> pathlib.Path:
    """Twelve pictures, dark to bright; the labels of the last three are wrong."""
    folder = tmp_path / "photos"
    (folder / "images").mkdir(parents=True)
    rows = ["file,label"]
    for number in range(12):
        picture = np.clip(synthetic_picture(64, 64, number) // 4 + 16 * number, 0, 255).astype(np.uint8)
        Image.fromarray(picture).save(folder / "images" / f"{number:02}.png")
        rows.append(f"images/{number:02}.png,{int(picture.mean() // 64) if number < 9 else 99}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder


def test_labels_are_read_from_the_table_whichever_folder_is_given(photos: pathlib.Path) -> None:
    cases = load_labelled(photos, photos / "labels.csv")
    assert [case.picture.name for case in cases] == [f"{number:02}.png" for number in range(12)]
    assert [int(case.truth) for case in cases[9:]] == [99, 99, 99]
    inside = load_labelled(photos / "images", photos / "labels.csv", limit=3)
    assert [case.picture.name for case in inside] == ["00.png", "04.png", "08.png"]


def test_a_table_that_is_none_is_refused_with_its_columns_named(tmp_path: pathlib.Path) -> None:
    (tmp_path / "labels.csv").write_text("name,class\na.png,1\n")
    with pytest.raises(ImageError, match="columns file and label"):
        load_labelled(tmp_path, tmp_path / "labels.csv")


@pytest.mark.parametrize(("count", "limit", "kept"), [(5, None, 5), (5, 9, 5), (10, 3, 3), (10, 1, 1)])
def test_a_limit_keeps_evenly_spaced_items(count: int, limit: int | None, kept: int) -> None:
    found = evenly(range(count), limit)
    assert len(found) == kept
    assert found[0] == 0


def test_known_answers_give_known_scores_for_every_codec_and_path(photos: pathlib.Path) -> None:
    cases = load_labelled(photos, photos / "labels.csv")
    source = CodecSource(Codec.load("tiny-random-sides"), [("mse", 1.0), ("mse", 0.5)], levels=[8.0])
    found = run(cases, [source, PeerSource(Jpeg(), None, (50, 95))], [BrightnessJudge()])
    assert [answers.line.name for answers in found.answers] == [
        "tiny-random-sides-mse",
        "tiny-random-sides-mse-0.5",
        "jpeg",
    ]
    top1, agreement = classification_scores(found, 0, (2.0,))
    ones = np.ones((1, 12))
    assert top1.of_original(ones) == pytest.approx(75.0)
    assert top1.of_line(2, ones)[0] == pytest.approx([75.0, 75.0])
    assert agreement.of_line(2, ones)[0] == pytest.approx([100.0, 100.0])
    assert top1.loss(2, ones)[0] == pytest.approx([0.0, 0.0])
    jpeg = found.answers[2]
    sizes = [8 * len(Jpeg().encode(case.picture.pixels, 50)) / 64**2 for case in cases]
    assert jpeg.bpp[:, 0] == pytest.approx(sizes)
    assert (jpeg.bpp[:, 0] < jpeg.bpp[:, 1]).all()
    assert (jpeg.psnr_db[:, 0] < jpeg.psnr_db[:, 1]).all()


def test_a_peer_is_coded_and_asked_about_only_once(photos: pathlib.Path) -> None:
    cases = load_labelled(photos, photos / "labels.csv")
    results = []
    for judge, encodes, asks in ((BrightnessJudge(), 12, 24), (BrightnessJudge(), 0, 12)):
        peer = CountingJpeg()
        with AnswerCache() as cache:
            results.append(run(cases, [PeerSource(peer, cache, (50,))], [judge]))
        assert (peer.encoded, judge.seen) == (encodes, asks)  # the originals are asked about each time
    first, second = (found.answers[0] for found in results)
    assert (first.bpp == second.bpp).all()
    assert (first.records[0] == second.records[0]).all()


def test_a_cached_answer_does_not_count_for_another_network(photos: pathlib.Path) -> None:
    cases = load_labelled(photos, photos / "labels.csv", 2)
    other = BrightnessJudge()
    other.version = "brightness 2"
    peer = CountingJpeg()
    with AnswerCache() as cache:
        run(cases, [PeerSource(peer, cache, (50,))], [BrightnessJudge()])
        run(cases, [PeerSource(peer, cache, (50,))], [BrightnessJudge(), other])
    assert peer.encoded == 4


def test_a_run_is_written_as_table_json_page_and_charts(photos: pathlib.Path, tmp_path: pathlib.Path) -> None:
    cases = load_labelled(photos, photos / "labels.csv")
    source = CodecSource(Codec.load("tiny-random-sides"), [("perceptual", 1.0), ("mse", 1.0)], levels=[1.0, 8.0])
    found = run(cases, [source, PeerSource(Jpeg(), None, (20, 50))], [BrightnessJudge()])
    report = make_report("cls", "photos", found, [classification_scores(found, 0, (1.0, 2.0))], draws=20)
    files = {file.name for file in save_report(report, tmp_path)}
    assert {"cls.csv", "cls.json", "cls.md", "cls-brightness-top1.png", "cls-brightness-agreement.svg"} <= files
    rows = list(csv.DictReader(to_csv(report).splitlines()))
    assert len(rows) == 2 * 3 * 2  # scores, lines, settings
    content = json.loads((tmp_path / "cls.json").read_text())
    verdict = content["verdicts"][0]
    assert verdict["original_percent"] == pytest.approx(75.0)
    assert [(one["name"], one["lost"]) for one in verdict["equal_answer"]][-1] == ("jpeg", 2.0)
    assert {(one["line"], one["peer"]) for one in verdict["ratios"]} == {
        ("tiny-random-sides-perceptual", "jpeg"),
        ("tiny-random-sides-mse", "jpeg"),
    }
    assert [one["line"] for one in verdict["gains_over_main_path"]] == ["tiny-random-sides-mse"] * 2


@pytest.mark.parametrize(
    ("ratios", "told"),
    [
        ([("avif", 2.0, 0.6, "="), ("jpeg", 2.0, 0.4, "=")], "60% of AVIF's bits, 2 points lost"),
        ([("avif", 2.0, 1.1, "="), ("jpeg", 2.0, 0.7, "="), ("avif", 5.0, 0.9, "=")], "70% of JPEG's bits, 2 points"),
        ([("avif", 2.0, 0.7, ">="), ("avif", 1.0, 0.8, "<=")], "at most 80% of AVIF's bits, 1 point lost"),
        ([("avif", 2.0, 0.7, ">="), ("jpeg", 1.0, None, "=")], "Rate against top-1"),
    ],
)
def test_a_chart_claims_only_what_was_found(
    photos: pathlib.Path, ratios: list[tuple[str, float, float | None, str]], told: str
) -> None:
    cases = load_labelled(photos, photos / "labels.csv")
    source = CodecSource(Codec.load("tiny-random-sides"), [("classification", 1.0)], levels=[1.0, 8.0])
    found = run(cases, [source, PeerSource(Jpeg(), None, (20, 50))], [BrightnessJudge()])
    jpeg = found.answers[1]
    found = found._replace(answers=(*found.answers, jpeg._replace(line=jpeg.line._replace(name="avif", label="AVIF"))))
    report = make_report("cls", "photos", found, [classification_scores(found, 0, (1.0, 2.0, 5.0))], draws=20)
    verdict, ours = report.verdicts[0], found.answers[0].line.name
    made = tuple(Ratio(ours, peer, target, value, 0.0, 1.0, bound) for peer, target, value, bound in ratios)
    assert told in _finding(report, verdict._replace(equal=verdict.equal._replace(ratios=made)))


def test_masks_are_found_by_name_and_scores_sum_over_pictures(tmp_path: pathlib.Path) -> None:
    for name in ("images", "masks"):
        (tmp_path / "val" / name).mkdir(parents=True)
    rows = np.arange(64)[:, None] + np.zeros(64)
    for number, edge in enumerate((16, 40)):
        picture = np.where(rows[..., None] < edge, 220, 30).repeat(3, -1).astype(np.uint8)
        mask = (rows >= edge).astype(np.uint8)
        mask[:, :8] = 2  # void
        Image.fromarray(picture).save(tmp_path / "val" / "images" / f"{number}.png")
        Image.fromarray(mask).save(tmp_path / "val" / "masks" / f"{number}.png")
    cases = load_masked(tmp_path)
    found = run(cases, [PeerSource(Jpeg(), None, (80,))], [SkyJudge()])
    miou, agreement = segmentation_scores(found, 0, (2.0,))
    ones = np.ones((1, 2))
    assert miou.of_original(ones) == pytest.approx(100.0)
    assert miou.of_line(0, ones)[0] == pytest.approx([100.0])
    assert agreement.of_line(0, ones)[0] == pytest.approx([100.0])
    assert found.answers[0].records[0][:, 0, :4].sum() == 2 * 64 * 56


def test_a_mask_of_another_size_is_refused(tmp_path: pathlib.Path) -> None:
    for name, side in (("images", 32), ("masks", 16)):
        (tmp_path / "val" / name).mkdir(parents=True)
        Image.fromarray(np.zeros((side, side), np.uint8)).save(tmp_path / "val" / name / "a.png")
    with pytest.raises(ImageError, match=r"mask of a.png is \(16, 16\)"):
        load_masked(tmp_path)
