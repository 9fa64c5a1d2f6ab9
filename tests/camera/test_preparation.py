"""What leaves the camera's machine holds nothing of what is masked, and only what changed where that is asked."""

import io

import numpy as np
import pytest
from PIL import Image as PillowImage

from manypath.codec import Codec
from manypath_camera.errors import SourceError
from manypath_camera.preparation import MASK_GREY, ChangeDetector, Preparation, as_message, mask, read_frame
from tests.services.serving import MODEL, as_array, photo

WINDOW = ((0.0, 0.0), (0.4, 0.0), (0.4, 0.5), (0.0, 0.5))
TRIANGLE = ((0.6, 0.6), (1.0, 0.7), (0.7, 1.0))


@pytest.fixture(scope="module")
def codec():
    return Codec.load(MODEL)


def secrets(image, polygons, seed):
    """The same picture with other pixels beneath its masks."""
    covered = np.any(mask(image, polygons) != image, axis=2) | np.all(mask(image, polygons) == MASK_GREY, axis=2)
    other = image.copy()
    other[covered] = np.random.default_rng(seed).integers(0, 256, (int(covered.sum()), 3))
    return other


@pytest.mark.parametrize("polygons", [(WINDOW,), (TRIANGLE,), (WINDOW, TRIANGLE)])
def test_no_byte_of_the_stream_depends_on_masked_pixels(codec, polygons):
    image = photo(90, 120)
    preparation = Preparation(masks=polygons)
    streams = {codec.encode(preparation.apply(secrets(image, polygons, seed))) for seed in range(3)}
    assert len(streams) == 1
    assert codec.encode(image) not in streams


def test_masks_follow_the_picture_as_it_is_turned_and_cropped():
    image = photo(80, 120)
    preparation = Preparation(turn=90, crop=(0.25, 0.0, 1.0, 0.5), masks=(WINDOW,))
    prepared = preparation.apply(image)
    turned = np.rot90(image, -1)
    assert turned.shape == (120, 80, 3)
    assert prepared.shape == (60, 60, 3)
    assert (prepared[:29, :23] == MASK_GREY).all()
    assert (prepared[32:, 26:] == turned[:60, 20:][32:, 26:]).all()


def test_a_file_that_nothing_is_done_to_goes_as_the_camera_made_it():
    file = io.BytesIO()
    PillowImage.fromarray(photo(40, 40)).save(file, "JPEG")
    assert Preparation().changes_nothing
    assert as_message(file.getvalue()).file == file.getvalue()
    assert (as_array(as_message(photo(40, 40))) == photo(40, 40)).all()
    assert read_frame(file.getvalue()).shape == (40, 40, 3)
    with pytest.raises(SourceError):
        read_frame(b"no picture")


def test_noise_and_weather_are_no_change_and_a_person_in_the_corner_is():
    chance = np.random.default_rng(3)
    scene = photo(240, 320).astype(np.int16)
    detector = ChangeDetector(0.01)

    def seen(image):
        return detector.changed(np.clip(image, 0, 255).astype(np.uint8))

    assert seen(scene)
    detector.sent()
    for _ in range(20):
        assert not seen(scene + chance.normal(0, 8, scene.shape).astype(np.int16))
    assert not seen(scene + 12)  # a cloud
    person = scene.copy()
    person[180:, 280:] = 20
    assert seen(person)
    assert seen(person)  # it was not sent yet
    detector.sent()
    assert not seen(person)
