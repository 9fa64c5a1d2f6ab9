import pathlib

import numpy as np
import pytest
from PIL import Image

from manypath.codec import Codec
from manypath.errors import ImageError
from manypath_lab.evaluation.cache import PointCache
from manypath_lab.evaluation.peers import Jpeg, PeerError
from manypath_lab.evaluation.pictures import Pixels, list_pictures, load_picture
from manypath_lab.evaluation.rd import CodecCandidate, PeerCandidate, count_steps, run


class CountingJpeg(Jpeg):
    """JPEG at three qualities that counts how often it really encodes."""

    qualities = (10, 40, 80)

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


def test_a_point_is_the_mean_over_pictures_of_real_bytes_per_pixel(folder: pathlib.Path) -> None:
    peer = CountingJpeg()
    (curve,) = run(list_pictures(folder), [PeerCandidate(peer, None)]).curves
    pictures = [load_picture(file) for file in list_pictures(folder)]
    sizes = [8 * len(peer.encode(picture.pixels, 10)) / picture.pixels[..., 0].size for picture in pictures]
    assert curve.points[0].bpp == pytest.approx(np.mean(sizes))
    assert [point.quality for point in curve.points] == [10, 40, 80]
    assert all(point.pictures == 2 and point.ms_ssim is not None for point in curve.points)


def test_a_second_run_takes_every_point_from_the_cache(folder: pathlib.Path) -> None:
    peer = CountingJpeg()
    with PointCache() as cache:
        first = run(list_pictures(folder), [PeerCandidate(peer, cache)])
        second = run(list_pictures(folder), [PeerCandidate(peer, cache)])
    assert peer.encoded == 6
    assert first == second


def test_a_point_without_the_perceptual_distance_is_coded_again_when_that_is_asked_for(folder: pathlib.Path) -> None:
    def contrast_lost(original: Pixels, reconstruction: Pixels) -> float:
        return abs(float(original.std()) - float(reconstruction.std()))

    peer = CountingJpeg()
    with PointCache() as cache:
        (plain,) = run(list_pictures(folder), [PeerCandidate(peer, cache)]).curves
        (full,) = run(list_pictures(folder), [PeerCandidate(peer, cache, contrast_lost)]).curves
        (again,) = run(list_pictures(folder), [PeerCandidate(peer, cache, contrast_lost)]).curves
    assert peer.encoded == 12
    assert [point.perceptual for point in plain.points] == [None] * 3
    assert full == again
    assert all(point.perceptual is not None and point.perceptual > 0 for point in full.points)
    assert [point.psnr_db for point in full.points] == [point.psnr_db for point in plain.points]


def test_our_codec_is_measured_by_the_bytes_that_it_writes(folder: pathlib.Path) -> None:
    codec = Codec.load("tiny-random")
    measured = run(list_pictures(folder), [CodecCandidate(codec, name="tiny", levels=(1.0, 8.0))])
    (curve,) = measured.curves
    pictures = [load_picture(file).pixels for file in list_pictures(folder)]
    sizes = sorted(
        float(np.mean([8 * len(codec.encode(p, quality=q)) / (p.shape[0] * p.shape[1]) for p in pictures]))
        for q in (1.0, 8.0)
    )
    assert [point.bpp for point in curve.points] == pytest.approx(sizes)
    assert curve.ours
    assert codec.model_digest in curve.version


def test_progress_adds_up_to_the_announced_number_of_steps(folder: pathlib.Path) -> None:
    (folder / "broken.png").write_bytes(b"not a picture")
    candidates = [PeerCandidate(CountingJpeg(), None)]
    seen: list[int] = []
    run(list_pictures(folder), candidates, advance=lambda _, steps: seen.append(steps))
    assert sum(seen) == count_steps(candidates, 3)


def test_an_unreadable_picture_is_named_and_left_out(folder: pathlib.Path) -> None:
    (folder / "broken.png").write_bytes(b"not a picture")
    Image.new("RGBA", (8, 8), (0, 0, 0, 10)).save(folder / "clear.png")
    measured = run(list_pictures(folder), [PeerCandidate(CountingJpeg(), None)])
    assert measured.pictures == 2
    assert [message.split()[0] for message in measured.skipped] == ["broken.png", "clear.png"]


def test_a_folder_without_a_readable_picture_is_an_error(tmp_path: pathlib.Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"not a picture")
    with pytest.raises(ImageError, match=r"none of the 1 pictures could be read.*broken\.png"):
        run(list_pictures(tmp_path), [PeerCandidate(CountingJpeg(), None)])


def test_a_failing_peer_is_named_with_picture_and_quality(folder: pathlib.Path) -> None:
    with pytest.raises(PeerError, match=r"JPEG failed on a\.png at quality 4: encoder error -2"):
        run(list_pictures(folder), [PeerCandidate(BrokenJpeg(), None)])


@pytest.mark.parametrize("name", ["nowhere", "empty"])
def test_a_missing_or_empty_folder_is_an_error(tmp_path: pathlib.Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ImageError, match=name):
        list_pictures(tmp_path / name)


def test_a_digest_depends_on_the_pixels_and_not_on_the_file(folder: pathlib.Path) -> None:
    original = load_picture(folder / "a.png")
    Image.fromarray(original.pixels).save(folder / "renamed.bmp")
    Image.fromarray(original.pixels.transpose(1, 0, 2)).save(folder / "turned.png")
    assert load_picture(folder / "renamed.bmp").digest == original.digest
    assert load_picture(folder / "turned.png").digest != original.digest
