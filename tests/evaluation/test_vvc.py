"""VVC through ffmpeg: with one that can, which is skipped where there is none, and with stand-ins for it."""

from __future__ import annotations

import pathlib
import sys

import numpy as np
import pytest

from manypath_lab.evaluation.codecs import vvc
from manypath_lab.evaluation.codecs.codec import BaselineError, BaselineSource
from manypath_lab.evaluation.codecs.vvc import Vvc, find_ffmpeg, read_version
from manypath_lab.evaluation.judges.fidelity import psnr
from manypath_lab.evaluation.pictures import Picture

# An ffmpeg that keeps pixels as they are behind a start code, and says what the real one says.
KEEPING = """
import sys
given, data = sys.argv, sys.stdin.buffer.read()
if "-version" in given:
    sys.stdout.write("ffmpeg version 7.1-stand-in Copyright")
elif "libvvenc" in given:
    if "verbose" in given:
        sys.stderr.write("[libvvenc @ 0x5] libvvenc version: 1.2.3\\n")
    width, _, height = given[given.index("-s") + 1].partition("x")
    sys.stdout.buffer.write(b"\\0\\0\\0\\1" + f"P6 {width} {height} 255\\n".encode() + data)
else:
    assert data[:4] == b"\\0\\0\\0\\1", data[:4]
    sys.stdout.buffer.write(data[4:])
"""


def needs_ffmpeg() -> None:
    """Skip a test where no ffmpeg codes VVC."""
    try:
        find_ffmpeg()
    except BaselineError as err:
        pytest.skip(str(err))


@pytest.fixture
def codec() -> Vvc:
    needs_ffmpeg()
    return Vvc()


@pytest.fixture
def stand_in(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    """Makes an executable of a Python program, and names it as the ffmpeg."""

    def make(program: str, name: str = "stand-in") -> str:
        file = tmp_path / name
        file.write_text(f"#!{sys.executable}\n{program}")
        file.chmod(0o755)
        monkeypatch.setenv(vvc.VARIABLE, str(file))
        return str(file)

    return make


def test_a_better_quality_takes_more_bytes_and_the_stream_is_all_there_is(codec: Vvc, picture: np.ndarray) -> None:
    low, high = codec.encode(picture, 42), codec.encode(picture, 22)
    assert len(low) < len(high)
    assert low[:3] in {b"\0\0\0", b"\0\0\1"}  # a start code, nothing of ours ahead of it
    assert psnr(picture, codec.decode(low)) < psnr(picture, codec.decode(high))
    assert codec.encode(picture, 42) == low


def test_conversions_alone_keep_greys_within_half_a_level(codec: Vvc, picture: np.ndarray) -> None:
    grey = np.repeat(picture[..., :1], 3, axis=-1)
    assert psnr(grey, codec.decode(codec.encode(grey, 2))) > 51.0  # what rounding to 8 bit would leave of it


def test_the_version_is_of_the_encoder_and_of_ffmpeg(codec: Vvc) -> None:
    assert [word for word in codec.version.split() if word == "unknown"] == []


@pytest.mark.parametrize(("height", "width"), [(64, 80), (63, 80), (64, 79), (63, 79)])
def test_a_picture_of_odd_size_comes_back_in_its_size(codec: Vvc, picture: np.ndarray, height: int, width: int) -> None:
    cut = picture[:height, :width]
    restored = codec.decode(codec.encode(cut, 27))
    assert restored.shape == cut.shape
    assert psnr(cut, restored) > 28.0


@pytest.mark.parametrize(("height", "width", "ahead"), [(8, 6, 0), (7, 6, 1), (8, 5, 1), (7, 5, 1), (1, 1, 1)])
def test_odd_sides_cost_one_byte_and_lose_no_pixel(stand_in, height: int, width: int, ahead: int) -> None:
    stand_in(KEEPING)
    pixels = np.random.default_rng(5).integers(0, 256, (height, width, 3), np.uint8)
    data = Vvc().encode(pixels, 32)
    even = (height + height % 2) * (width + width % 2) * 3
    assert len(data) == ahead + len(f"0000P6 {width + width % 2} {height + height % 2} 255\n") + even
    np.testing.assert_array_equal(Vvc().decode(data), pixels)


def test_what_ffmpeg_says_of_itself_is_the_version(stand_in) -> None:
    stand_in(KEEPING)
    assert Vvc().version == "libvvenc 1.2.3 in ffmpeg 7.1-stand-in"
    assert read_version("ffmpeg version n9.0.2-17-g2a571b6 Copyright (c) 2000-2026", "ffmpeg") == "n9.0.2-17-g2a571b6"
    assert (
        read_version("[libvvenc @ 0x55] libvvenc version: 1.15.0-dev\nvvenc [notice]: QP", "libvvenc") == "1.15.0-dev"
    )
    assert read_version("no word of it", "ffmpeg") == "unknown"


def test_an_ffmpeg_without_the_encoder_is_named_with_its_words_and_the_cure(stand_in) -> None:
    file = stand_in("import sys\nsys.exit(\"Unknown encoder 'libvvenc'\")")
    with pytest.raises(BaselineError, match=r"install imageio-ffmpeg .*built with libvvenc") as refused:
        Vvc()
    assert f"{file}: ffmpeg failed with status 1: Unknown encoder 'libvvenc'" in str(refused.value)


def test_a_named_ffmpeg_that_is_not_there_is_not_replaced_by_another(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv(vvc.VARIABLE, str(tmp_path / "none"))
    with pytest.raises(BaselineError, match=r"none: it does not start"):
        Vvc()


def test_without_any_ffmpeg_the_cure_is_told(tmp_path, monkeypatch) -> None:
    monkeypatch.delenv(vvc.VARIABLE, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(BaselineError, match=r"install imageio-ffmpeg .*Tried: none"):
        Vvc()


def test_the_path_s_ffmpeg_comes_first(stand_in, tmp_path, monkeypatch) -> None:
    file = stand_in(KEEPING, "ffmpeg")
    monkeypatch.delenv(vvc.VARIABLE)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_ffmpeg() == file


def test_one_on_the_path_that_cannot_is_passed_over(stand_in, tmp_path, monkeypatch) -> None:
    pytest.importorskip("imageio_ffmpeg")
    needs_ffmpeg()
    file = stand_in("raise SystemExit(1)", "ffmpeg")
    monkeypatch.delenv(vvc.VARIABLE)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_ffmpeg() != file


def test_a_failure_names_the_picture_and_ends_with_what_ffmpeg_said(codec: Vvc) -> None:
    with pytest.raises(BaselineError, match="ffmpeg failed with status"):
        codec.decode(b"\0\0\0\1this is no VVC stream")
    empty = Picture("none.png", np.zeros((0, 4, 3), np.uint8), "0")
    with pytest.raises(BaselineError, match=r"VVC .* failed on none\.png at quality 32: ffmpeg failed .*\S"):
        BaselineSource(codec).code([empty], 32)


def test_an_ffmpeg_that_hangs_is_an_error(stand_in, monkeypatch) -> None:
    stand_in("import time\ntime.sleep(600)")
    monkeypatch.setattr(vvc, "_TIMEOUT_SECONDS", 0.5)
    with pytest.raises(BaselineError, match="did not end within"):
        Vvc()
