"""Records of judges whose rule is known, through real codecs."""

import pathlib
from collections.abc import Sequence

import numpy as np
import pytest
from PIL import Image

from manypath.codec import Codec
from manypath.errors import ImageError
from manypath.rate import Rate
from manypath_lab.evaluation.cache import RecordCache
from manypath_lab.evaluation.codecs.codec import BaselineError, BaselineSource
from manypath_lab.evaluation.codecs.ours import OurSource
from manypath_lab.evaluation.codecs.pillow import Jpeg
from manypath_lab.evaluation.judges.fidelity import PsnrJudge, SimilarityJudge
from manypath_lab.evaluation.judges.judge import Record
from manypath_lab.evaluation.judges.miou import mask_measures, mask_record
from manypath_lab.evaluation.judges.top1 import MEASURES
from manypath_lab.evaluation.pictures import Pixels, load_picture
from manypath_lab.evaluation.run import BATCH_PIXELS, count_steps, run
from manypath_lab.evaluation.score import scores
from manypath_lab.evaluation.sets import Case, open_set


class BrightnessJudge:
    """Says which quarter of the range the mean lies in: coding hardly moves it, so answers are known."""

    name = "brightness"
    label = "brightness"
    measures = MEASURES

    def __init__(self, version: str = "brightness 1") -> None:
        self.version = version
        self.seen = 0

    def question(self, case: Case) -> str:
        return f"label {int(case.truth)}"

    def examine(self, cases: Sequence[Case], images: Sequence[Pixels]) -> list[Record]:
        self.seen += len(images)
        pairs = zip(cases, images, strict=True)
        answers = [
            (case, *(int(pixels.mean() // 64) for pixels in (image, case.picture.pixels))) for case, image in pairs
        ]
        return [np.asarray([new == case.truth, 1, new == old, 1], float) for case, new, old in answers]


class SkyJudge:
    """Calls pixels above mid-grey class 0, others class 1, on smooth pictures with a hard edge."""

    name = "sky"
    label = "sky"
    version = "sky 1"
    measures = mask_measures(2)

    def question(self, case: Case) -> str:
        return "mask"

    def examine(self, cases: Sequence[Case], images: Sequence[Pixels]) -> list[Record]:
        def mask(pixels: Pixels) -> Pixels:
            return (pixels.mean(-1) < 128).astype(np.uint8)

        pairs = zip(cases, images, strict=True)
        return [mask_record(case.truth, mask(image), mask(case.picture.pixels), 2) for case, image in pairs]


class CountingJpeg(Jpeg):
    """JPEG that counts how often it really encodes."""

    def __init__(self) -> None:
        super().__init__()
        self.encoded = 0

    def encode(self, pixels: Pixels, quality: int) -> bytes:
        self.encoded += 1
        return super().encode(pixels, quality)


class BrokenJpeg(Jpeg):
    """A codec whose library fails."""

    def encode(self, pixels: Pixels, quality: int) -> bytes:
        raise OSError("encoder error -2")


def test_known_answers_give_known_scores_for_every_codec_and_path(photos: pathlib.Path) -> None:
    pictures = open_set(photos)
    source = OurSource(Codec.load("tiny-random-sides"), [("mse", 1.0), ("mse", 0.5)], qualities=[8.0])
    found = run(pictures.loads, [source, BaselineSource(Jpeg(), (50, 95))], [BrightnessJudge(), PsnrJudge()])
    names = [track.line.name for track in found.tracks]
    assert names == ["tiny-random-sides-mse", "tiny-random-sides-mse-0.5", "jpeg"]
    top1, agreement, fidelity = scores(found)
    assert top1.of_original()[0] == pytest.approx(75.0)
    assert top1.of_line(2)[0] == pytest.approx([75.0, 75.0])
    assert agreement.of_line(2)[0] == pytest.approx([100.0, 100.0])
    assert top1.loss(2)[0] == pytest.approx([0.0, 0.0])
    jpeg = found.tracks[2]
    sizes = [8 * len(Jpeg().encode(load().picture.pixels, 50)) / 64**2 for load in pictures.loads]
    assert jpeg.bpp[:, 0] == pytest.approx(sizes)
    assert (jpeg.bpp[:, 0] < jpeg.bpp[:, 1]).all()
    assert fidelity.of_line(2)[0, 0] < fidelity.of_line(2)[0, 1]


def test_our_codec_is_measured_by_the_bytes_that_it_writes(folder: pathlib.Path) -> None:
    codec = Codec.load("tiny-random")
    pictures = open_set(folder)
    (track,) = run(pictures.loads, [OurSource(codec, qualities=(1.0, 8.0))], [PsnrJudge()]).tracks
    pixels = [load().picture.pixels for load in pictures.loads]
    sizes = {q: [8 * len(codec.encode(p, quality=q)) / (p.shape[0] * p.shape[1]) for p in pixels] for q in (1.0, 8.0)}
    for number, quality in enumerate(track.qualities):
        assert track.bpp[:, number] == pytest.approx(sizes[quality])
    assert track.bpp[:, 0].mean() < track.bpp[:, 1].mean()
    assert (track.line.path, track.line.ours) == ("perceptual", True)
    assert codec.model_digest in track.line.version


def test_a_baseline_is_coded_and_judged_only_once(photos: pathlib.Path) -> None:
    pictures = open_set(photos)
    results = []
    for judge, encodes, asked in ((BrightnessJudge(), 12, 24), (BrightnessJudge(), 0, 12)):
        codec = CountingJpeg()
        with RecordCache() as cache:
            results.append(run(pictures.loads, [BaselineSource(codec, (50,))], [judge], cache=cache))
        assert (codec.encoded, judge.seen) == (encodes, asked)  # the originals are judged each time
    first, second = (found.tracks[0] for found in results)
    assert (first.bpp == second.bpp).all()
    assert (first.records[0] == second.records[0]).all()


def test_what_one_judge_said_does_not_count_for_another(photos: pathlib.Path) -> None:
    pictures = open_set(photos, 2)
    codec = CountingJpeg()
    with RecordCache() as cache:
        run(pictures.loads, [BaselineSource(codec, (50,))], [BrightnessJudge()], cache=cache)
        run(pictures.loads, [BaselineSource(codec, (50,))], [BrightnessJudge(), PsnrJudge()], cache=cache)
        run(pictures.loads, [BaselineSource(codec, (50,))], [BrightnessJudge("brightness 2")], cache=cache)
        run(pictures.loads, [BaselineSource(codec, (50,))], [PsnrJudge()], cache=cache)
    assert codec.encoded == 6


def test_our_own_results_are_never_kept(photos: pathlib.Path) -> None:
    judge = PsnrJudge()
    source = OurSource(Codec.load("tiny-random"), qualities=[1.0])
    with RecordCache() as cache:
        run(open_set(photos, 1).loads, [source], [judge], cache=cache)
        (count,) = cache._connection.execute("SELECT count(*) FROM records").fetchone()
    assert count == 0


def test_progress_adds_up_to_the_announced_number_of_steps(folder: pathlib.Path) -> None:
    (folder / "broken.png").write_bytes(b"not a picture")
    sources = [BaselineSource(Jpeg(), (10, 40))]
    seen: list[int] = []
    run(open_set(folder).loads, sources, [PsnrJudge()], advance=lambda _, steps: seen.append(steps))
    assert sum(seen) == count_steps(sources, 3)


def test_an_unreadable_picture_is_named_and_left_out(folder: pathlib.Path) -> None:
    (folder / "broken.png").write_bytes(b"not a picture")
    Image.new("RGBA", (8, 8), (0, 0, 0, 10)).save(folder / "clear.png")
    found = run(open_set(folder).loads, [BaselineSource(Jpeg(), (10,))], [PsnrJudge()])
    assert found.names == ("a.png", "b.png")
    assert [message.split()[0] for message in found.skipped] == ["broken.png", "clear.png"]


def test_a_folder_without_a_readable_picture_is_an_error(tmp_path: pathlib.Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"not a picture")
    with pytest.raises(ImageError, match=r"none of the 1 pictures could be read.*broken\.png"):
        run(open_set(tmp_path).loads, [BaselineSource(Jpeg(), (10,))], [PsnrJudge()])


def test_a_failing_baseline_is_named_with_picture_and_quality(folder: pathlib.Path) -> None:
    with pytest.raises(BaselineError, match=r"JPEG failed on a\.png at quality 4: encoder error -2"):
        run(open_set(folder).loads, [BaselineSource(BrokenJpeg())], [PsnrJudge()])


def test_large_pictures_are_not_coded_together(folder: pathlib.Path) -> None:
    """A batch holds so many pixels at most, whatever the order of sizes."""
    batches: list[list[str]] = []

    class Watching(BaselineSource):
        def code(self, pictures, quality):  # type: ignore[no-untyped-def]
            batches.append([picture.name for picture in pictures])
            return super().code(pictures, quality)

    height = BATCH_PIXELS // 1000 + 1
    Image.fromarray(np.zeros((height, 1000, 3), np.uint8)).save(folder / "aa.png")
    run(open_set(folder).loads, [Watching(Jpeg(), (10,))], [PsnrJudge()])
    assert batches == [["a.png"], ["aa.png"], ["b.png"]]


def test_a_measure_that_cannot_be_said_of_a_picture_is_left_out(folder: pathlib.Path) -> None:
    Image.fromarray(load_picture(folder / "a.png").pixels[:32, :32]).save(folder / "small.png")
    found = run(open_set(folder).loads, [BaselineSource(Jpeg(), (10,))], [SimilarityJudge(), PsnrJudge()])
    assert [score.measure.name for score in scores(found)] == ["psnr"]


def test_masks_are_judged_by_sums_over_pictures(tmp_path: pathlib.Path) -> None:
    for name in ("images", "masks"):
        (tmp_path / "val" / name).mkdir(parents=True)
    rows = np.arange(64)[:, None] + np.zeros(64)
    for number, edge in enumerate((16, 40)):
        pixels = np.where(rows[..., None] < edge, 220, 30).repeat(3, -1).astype(np.uint8)
        mask = (rows >= edge).astype(np.uint8)
        mask[:, :8] = 2  # void
        Image.fromarray(pixels).save(tmp_path / "val" / "images" / f"{number}.png")
        Image.fromarray(mask).save(tmp_path / "val" / "masks" / f"{number}.png")
    found = run(open_set(tmp_path).loads, [BaselineSource(Jpeg(), (80,))], [SkyJudge()])
    miou, agreement = scores(found)
    assert miou.of_original()[0] == pytest.approx(100.0)
    assert miou.of_line(0)[0] == pytest.approx([100.0])
    assert agreement.of_line(0)[0] == pytest.approx([100.0])
    assert found.tracks[0].records[0][:, 0, :4].sum() == 2 * 64 * 56


def test_our_codec_is_measured_at_an_effort(folder: pathlib.Path) -> None:
    codec = Codec.load("tiny-random")
    pictures = [load_picture(folder / "a.png")]
    plain, thorough = (OurSource(codec, qualities=[6], effort=effort).code(pictures, 6) for effort in (0, 1))
    stream = codec.encode(pictures[0].pixels, Rate(quality=6, effort=1))
    assert thorough[0][0].bytes == len(stream)
    assert (thorough[0][0].image == codec.decode(stream)).all()
    assert (thorough[0][0].image != plain[0][0].image).any()
