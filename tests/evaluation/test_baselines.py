import numpy as np
import pytest

from manypath_lab.evaluation.codecs.codec import BaselineError, BaselineSource
from manypath_lab.evaluation.codecs.registry import NAMES, make_baselines
from manypath_lab.evaluation.judges.fidelity import psnr
from manypath_lab.evaluation.pictures import Picture
from tests.evaluation.test_vvc import needs_ffmpeg

QUICK = [name for name in NAMES if name != "vvc"]


@pytest.mark.parametrize("name", QUICK)
def test_a_baseline_returns_the_picture_and_better_at_its_highest_quality(name: str, picture: np.ndarray) -> None:
    grey = np.repeat(picture[..., :1], 3, axis=-1)  # 4:2:0 would cost the strong colours of the fixture dearly
    (codec,) = make_baselines([name])
    low, high = (codec.encode(grey, codec.qualities[i]) for i in (0, -1))
    restored = [codec.decode(data) for data in (low, high)]
    assert [(image.shape, image.dtype) for image in restored] == [(picture.shape, np.uint8)] * 2
    assert len(low) < len(high)
    assert psnr(grey, restored[0]) < psnr(grey, restored[1])
    assert psnr(grey, restored[1]) > 33.0


@pytest.mark.parametrize("name", QUICK)
def test_a_baseline_writes_the_same_bytes_twice(name: str, picture: np.ndarray) -> None:
    (codec,) = make_baselines([name])
    assert codec.encode(picture, codec.qualities[3]) == codec.encode(picture, codec.qualities[3])


@pytest.mark.parametrize("name", NAMES)
def test_a_baseline_tells_its_version_and_its_settings_differ_by_quality(name: str) -> None:
    if name == "vvc":
        needs_ffmpeg()
    (codec,) = make_baselines([name])
    assert any(character.isdigit() for character in codec.version)
    assert len({codec.settings(quality) for quality in codec.qualities}) == len(codec.qualities)


def test_an_unknown_baseline_is_refused_with_the_list_of_known_ones() -> None:
    with pytest.raises(BaselineError, match=r"jpeg, webp, jxl, avif, avif-psnr, vvc; got bpg"):
        make_baselines(["jpeg", "bpg"])


def test_a_baseline_that_fails_names_picture_and_quality() -> None:
    (codec,) = make_baselines(["jpeg"])
    wide = Picture("wide.png", np.zeros((1, 70_000, 3), np.uint8), "0")  # JPEG ends at 65,535
    with pytest.raises(BaselineError, match=r"JPEG failed on wide\.png at quality 52: \S"):
        BaselineSource(codec).code([wide], 52)
