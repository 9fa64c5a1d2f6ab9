"""A folder tells what is known of its pictures."""

import pathlib

import numpy as np
import pytest
from PIL import Image

from manypath.errors import ImageError, RequestError
from manypath_lab.evaluation.pictures import load_picture
from manypath_lab.evaluation.sets import LABELLED, MASKED, PLAIN, evenly, open_set
from tests.evaluation.conftest import synthetic_picture


def test_plain_pictures_are_read_in_the_order_of_their_names(folder: pathlib.Path) -> None:
    (folder / "notes.txt").write_text("no picture")
    pictures = open_set(folder)
    assert (pictures.name, pictures.kind) == ("pictures", PLAIN)
    cases = [load() for load in pictures.loads]
    assert [(case.picture.name, case.truth) for case in cases] == [("a.png", None), ("b.png", None)]


def test_a_table_of_labels_makes_a_labelled_set(photos: pathlib.Path) -> None:
    pictures = open_set(photos, limit=3)
    assert pictures.kind is LABELLED
    cases = [load() for load in pictures.loads]
    assert [case.picture.name for case in cases] == ["00.png", "04.png", "08.png"]
    assert [int(case.truth) for case in cases] == [int(case.picture.pixels.mean() // 64) for case in cases]


@pytest.mark.parametrize("split", ["", "val"])
def test_masks_beside_pictures_make_a_masked_set(tmp_path: pathlib.Path, split: str) -> None:
    for name in ("images", "masks"):
        (tmp_path / split / name).mkdir(parents=True)
    Image.fromarray(synthetic_picture(32, 48)).save(tmp_path / split / "images" / "a.png")
    Image.fromarray(np.full((32, 48), 7, np.uint8)).save(tmp_path / split / "masks" / "a.png")
    pictures = open_set(tmp_path)
    assert pictures.kind is MASKED
    (case,) = (load() for load in pictures.loads)
    assert (case.truth == 7).all()
    assert case.truth.shape == (32, 48)


def test_a_mask_of_another_size_or_none_is_an_error_of_its_picture(tmp_path: pathlib.Path) -> None:
    for name, side in (("images", 32), ("masks", 16)):
        (tmp_path / name).mkdir()
        Image.fromarray(np.zeros((side, side), np.uint8)).save(tmp_path / name / "a.png")
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "images" / "b.png")
    misfit, missing = open_set(tmp_path).loads
    with pytest.raises(ImageError, match=r"mask of a.png is \(16, 16\)"):
        misfit()
    with pytest.raises(ImageError, match=r"b.png has no readable mask"):
        missing()


def test_a_table_that_is_none_is_refused_with_its_columns_named(tmp_path: pathlib.Path) -> None:
    (tmp_path / "labels.csv").write_text("name,class\na.png,1\n")
    with pytest.raises(ImageError, match="columns file and label"):
        open_set(tmp_path)


@pytest.mark.parametrize("name", ["nowhere", "empty"])
def test_a_missing_or_empty_folder_is_an_error(tmp_path: pathlib.Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ImageError, match=name):
        open_set(tmp_path / name)


def test_a_limit_of_nothing_is_refused(folder: pathlib.Path) -> None:
    with pytest.raises(RequestError, match="--limit must be at least 1, got 0"):
        open_set(folder, 0)


@pytest.mark.parametrize(
    ("count", "limit", "kept"),
    [(5, None, [0, 1, 2, 3, 4]), (5, 9, [0, 1, 2, 3, 4]), (10, 3, [0, 3, 6]), (10, 1, [0])],
)
def test_a_limit_keeps_evenly_spaced_items(count: int, limit: int | None, kept: list[int]) -> None:
    assert evenly(range(count), limit) == kept


def test_a_digest_depends_on_the_pixels_and_not_on_the_file(folder: pathlib.Path) -> None:
    original = load_picture(folder / "a.png")
    Image.fromarray(original.pixels).save(folder / "renamed.bmp")
    Image.fromarray(original.pixels.transpose(1, 0, 2)).save(folder / "turned.png")
    assert load_picture(folder / "renamed.bmp").digest == original.digest
    assert load_picture(folder / "turned.png").digest != original.digest


def test_a_photo_is_turned_upright(folder: pathlib.Path) -> None:
    """Orientation 6: the camera was turned, the rows of the file are the columns of the scene."""
    pixels = load_picture(folder / "a.png").pixels
    lying = Image.fromarray(np.rot90(pixels))
    exif = lying.getexif()
    exif[0x0112] = 6
    lying.save(folder / "lying.png", exif=exif)
    assert (load_picture(folder / "lying.png").pixels == pixels).all()
