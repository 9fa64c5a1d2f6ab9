"""The front door takes what it says, names everything else, and minds no one else's settings."""

import mmap
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import manypath
from manypath.codec import Codec
from manypath.errors import (
    BitstreamError,
    BudgetError,
    ImageError,
    ManypathError,
    PathError,
    QualityError,
    RequestError,
    TruncatedError,
)
from manypath.rate import Rate
from tests.codec.conftest import photo

IMAGE = photo(70, 90)
NO_STREAMS = [None, "MPTH", [77, 80], 3, object(), np.zeros((4, 4))[:, 1], {}]
NO_NUMBERS = ["4", b"4", None, [4], (4,), True, 4j, np.zeros(1), object()]
NO_POSITIVES = [float("nan"), float("inf"), -float("inf"), 0, -1, 10**400, -(10**400)]
FAR_NUMBERS = [*NO_POSITIVES, 1e308, 2**64]


@pytest.fixture(scope="module")
def stream(codec: Codec) -> bytes:
    return codec.encode(IMAGE, quality=5)


def test_every_bytes_like_object_is_a_stream(codec: Codec, stream: bytes, tmp_path: Path) -> None:
    expected = codec.decode(stream)
    file = tmp_path / "stream"
    file.write_bytes(stream)
    with file.open("rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        for given in (bytearray(stream), memoryview(stream), np.frombuffer(stream, np.uint8), mapped):
            assert np.array_equal(codec.decode(given), expected)  # type: ignore[arg-type]
            assert manypath.inspect(given).bytes == len(stream)  # type: ignore[arg-type]
            assert np.array_equal(codec.decode_batch([given])[0], expected)  # type: ignore[list-item]


@pytest.mark.parametrize("given", NO_STREAMS, ids=repr)
def test_what_is_no_stream_is_a_format_error(codec: Codec, given: Any) -> None:
    for take in (codec.decode, codec.bit_map, manypath.inspect, lambda data: codec.decode_paths(data, [("mse", 1.0)])):
        with pytest.raises(BitstreamError):
            take(given)


@pytest.mark.parametrize("given", [*NO_NUMBERS[:2], *NO_NUMBERS[3:], *FAR_NUMBERS], ids=repr)
def test_what_is_no_quality_is_a_quality_error(codec: Codec, given: Any) -> None:
    with pytest.raises(QualityError, match="quality must be"):
        codec.encode(IMAGE, quality=given)
    with pytest.raises(QualityError):
        Rate(quality=given)
    with pytest.raises(QualityError):
        codec.encode_scores(IMAGE, given)


@pytest.mark.parametrize("given", [*NO_NUMBERS[:2], *NO_NUMBERS[3:], *NO_POSITIVES], ids=repr)
def test_what_is_no_budget_is_a_budget_error(given: Any) -> None:
    with pytest.raises(BudgetError, match="a budget must be"):
        Rate(max_bytes=given)
    with pytest.raises(BudgetError, match="a budget must be"):
        Rate(bpp=given)


def test_a_budget_beyond_all_bytes_is_the_best_quality(codec: Codec) -> None:
    best = codec.encode(IMAGE, quality=8)
    assert codec.encode(IMAGE, Rate(bpp=1e15)) == best
    assert codec.encode(IMAGE, Rate(bpp=1e300)) == best
    assert codec.encode(IMAGE, Rate(max_bytes=10**300)) == best
    with pytest.raises(BudgetError, match="a budget must be"):
        codec.encode(IMAGE, Rate(bpp=1e308))  # times its pixels it has no end


@pytest.mark.parametrize("given", [*NO_NUMBERS, *NO_POSITIVES[:3], -1, 1e308, 10**400], ids=repr)
def test_what_is_no_share_is_a_path_error(codec: Codec, stream: bytes, given: Any) -> None:
    with pytest.raises(PathError, match="task_share must be"):
        codec.decode(stream, task_share=given)


@pytest.mark.parametrize("given", [None, ["mse"], b"mse", 3, "", "MSE", "mse\n"], ids=repr)
def test_what_is_no_path_is_a_path_error(codec: Codec, stream: bytes, given: Any) -> None:
    with pytest.raises(PathError, match="path must be"):
        codec.decode(stream, path=given)


@pytest.mark.parametrize("given", [None, 3, ["mse"], [("mse",)], [("mse", 1.0, 2)], "mse"], ids=repr)
def test_what_are_no_requests_is_a_path_error(codec: Codec, stream: bytes, given: Any) -> None:
    with pytest.raises(PathError):
        codec.decode_paths(stream, given)


@pytest.mark.parametrize(
    "given", [None, "photo.jpg", b"", IMAGE.tolist(), torch.from_numpy(IMAGE), np.uint8(3)], ids=type
)
def test_what_is_no_picture_is_an_image_error(codec: Codec, given: Any) -> None:
    with pytest.raises(ImageError):
        codec.encode(given)
    with pytest.raises(ImageError):
        codec.encode_scores(given)


def test_other_wrong_arguments_are_request_errors(codec: Codec) -> None:
    with pytest.raises(RequestError):
        codec.encode_batch(None)  # type: ignore[arg-type]
    with pytest.raises(RequestError):
        codec.decode_batch(3)  # type: ignore[arg-type]
    with pytest.raises(RequestError, match="a Rate"):
        codec.encode(IMAGE, 4.0)  # type: ignore[arg-type]
    with pytest.raises(RequestError, match="device"):
        Codec.load("tiny-random", device="abacus")
    with pytest.raises(RequestError, match="dtype"):
        Codec.load("tiny-random", dtype=["float32"])  # type: ignore[arg-type]
    with pytest.raises(RequestError, match="a name or a file"):
        Codec.load(None)  # type: ignore[arg-type]
    with pytest.raises(TruncatedError):
        manypath.inspect(b"")


def test_every_error_has_one_root() -> None:
    errors = [getattr(manypath, name) for name in manypath.__all__ if name.endswith("Error")]
    assert len(errors) == 16
    assert all(issubclass(error, ManypathError) for error in errors)


@pytest.mark.parametrize("model", ["tiny-random-sides", "tinylic-tiny-random-sides"])
def test_the_codec_keeps_its_own_numbers_whatever_the_process_has_set(model: str) -> None:
    def work() -> tuple[bytes, list[np.ndarray]]:
        codec = Codec.load(model)
        stream = codec.encode(IMAGE, quality=4.5)
        codec.encode_scores(IMAGE)
        return stream, codec.decode_paths(stream, [("perceptual", 1.0), ("mse", 0.5)])

    expected, pictures = work()
    for kind in (torch.bfloat16, torch.float16):
        with torch.autocast("cpu", dtype=kind):
            stream, made = work()
        assert stream == expected
        assert all(np.array_equal(one, other) for one, other in zip(made, pictures, strict=True))
    try:
        torch.set_default_dtype(torch.float64)
        torch.set_default_device("meta")
        stream, made = work()
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_default_device(None)
    assert stream == expected
    assert all(np.array_equal(one, other) for one, other in zip(made, pictures, strict=True))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_process_codes_as_its_parent_does() -> None:
    """Parent with two threads: their OpenMP team does not live on in the child, which would wait for it for ever."""
    script = textwrap.dedent(
        """
        import os, sys
        import torch
        torch.set_num_threads(2)
        from manypath.codec import Codec
        from tests.codec.conftest import photo

        codec, image = Codec.load("tiny-random"), photo(1200, 1300)
        stream = codec.encode(image)
        child = os.fork()
        if child == 0:
            same = codec.encode(image) == stream and codec.decode(stream).shape == image.shape
            os._exit(0 if same else 3)
        _, status = os.waitpid(child, 0)
        sys.exit(os.waitstatus_to_exitcode(status))
        """
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "2"}
    process = subprocess.Popen([sys.executable, "-W", "ignore", "-c", script], env=environment, start_new_session=True)
    try:
        assert process.wait(timeout=120) == 0
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
