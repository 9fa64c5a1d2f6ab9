"""Scenes are read as they are, and crops keep picture and mask together."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from manypath.errors import ImageError
from manypath_lab.segmenter.data import CLASSES, PALETTE, VOID, SceneCrops, read_scenes
from tests.segmenter.street import COLOURS, street, write


def test_every_class_has_a_name_and_a_colour_of_its_own() -> None:
    assert len(set(CLASSES)) == len(set(PALETTE)) == len(CLASSES) == len(PALETTE) == VOID


def test_scenes_come_back_from_disk_in_order(tmp_path: Path) -> None:
    scenes = [street(2), street(1)]
    write(scenes, tmp_path)
    read = read_scenes(tmp_path)
    assert [scene.name for scene in read] == ["street1", "street2"]
    np.testing.assert_array_equal(read[1].image, scenes[0].image)
    np.testing.assert_array_equal(read[1].mask, scenes[0].mask)


def test_a_missing_mask_or_one_that_does_not_fit_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no picture in"):
        read_scenes(tmp_path)
    write([street(1)], tmp_path)
    mask = tmp_path / "masks" / "street1.png"
    Image.fromarray(np.full((96, 128), VOID + 1, dtype=np.uint8)).save(mask)
    with pytest.raises(ImageError, match="labels up to 11"):
        read_scenes(tmp_path)
    mask.unlink()
    with pytest.raises(FileNotFoundError, match=r"street1\.png"):
        read_scenes(tmp_path)


def test_a_crop_shows_at_each_pixel_what_its_mask_says() -> None:
    """But for pixels at borders, where scaling mixes colours."""
    crops = SceneCrops([street(1)])
    random = np.random.default_rng(0)
    colours = np.zeros((VOID + 1, 3))
    for label, colour in COLOURS.items():
        colours[label] = colour
    for _ in range(20):
        image, mask = crops.crop(random, crops.scenes[0], 64)
        known = mask != VOID
        off = np.abs(image - colours[mask]).max(2)
        assert np.mean(off[known] > 2) < 0.12
        assert np.median(off[known]) == 0


def test_batches_are_pictures_in_range_and_masks_of_known_labels() -> None:
    x, masks = SceneCrops([street(1), street(2)]).draw(np.random.default_rng(0), 3, 128)
    assert x.shape == (3, 3, 128, 128)
    assert masks.shape == (3, 128, 128)
    assert x.dtype == torch.float32
    assert masks.dtype == torch.int64
    assert 0 <= float(x.min()) <= float(x.max()) <= 1
    assert set(masks.unique().tolist()) <= set(COLOURS)


def test_the_same_seed_draws_the_same_crops() -> None:
    crops = SceneCrops([street(1), street(2)])
    first, second = (crops.draw(np.random.default_rng(5), 2, 64) for _ in range(2))
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])
