import itertools

import pytest
import torch

from benchmarks.gpu import main, measure, table
from benchmarks.picture import photo_like
from benchmarks.transfers import usage
from manypath.codec import Codec


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device, which would be measured")
def test_without_a_device_the_command_says_so_and_ends_well(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--model", "no-such-model"]) == 0
    assert "no CUDA device here: nothing was measured" in capsys.readouterr().out


def test_frames_are_pictures_over_the_seconds_of_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock on which every call takes a tenth of a second."""
    ticks = itertools.count()
    monkeypatch.setattr("benchmarks.gpu.perf_counter", lambda: 0.1 * next(ticks))
    codec = Codec.load("tiny-random")
    results = measure(codec, [photo_like(64, 96, seed) for seed in range(3)], "float32", seconds=0.45)
    assert [(one.direction, one.batch, one.calls) for one in results] == [("encode", 3, 5), ("decode", 3, 5)]
    assert [one.frames_per_second for one in results] == pytest.approx([30.0, 30.0])
    assert table(results).count("| float32 | 3 | 30.00 |") == 2


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_device_gives_the_cpu_s_symbols(capsys: pytest.CaptureFixture[str]) -> None:
    small = ["--width", "192", "--height", "128", "--seconds", "0.1"]
    assert main(["--model", "tiny-random", *small, "--batch", "2", "--dtype", "float32"]) == 0
    assert "PASS" in capsys.readouterr().out


def event(cat: str, name: str, stream: int, size: int = 10**6) -> dict[str, object]:
    return {"cat": cat, "name": name, "args": {"stream": stream, "bytes": size}}


def test_a_trace_tells_pinned_copies_and_streams() -> None:
    up, down = "Memcpy HtoD (Pinned -> Device)", "Memcpy DtoH (Device -> Pinned)"
    sound = [
        {"cat": "cpu_op", "name": "aten::copy_"},
        event("kernel", "gemm", 20),
        event("gpu_memcpy", up, 20),
        event("gpu_memcpy", down, 20),
        event("gpu_memcpy", "Memcpy DtoH (Device -> Pageable)", 20, size=8),  # a count
        event("gpu_memcpy", "Memcpy DtoD (Device -> Device)", 20),
    ]
    assert usage(sound).as_wanted
    assert usage(sound).pinned == 2
    for wrong in (
        event("gpu_memcpy", "Memcpy HtoD (Pageable -> Device)", 20),
        event("kernel", "gemm", 7),
        event("kernel", "gemm", 24),
    ):
        assert not usage([*sound, wrong]).as_wanted
    assert not usage([event("kernel", "gemm", 7), event("gpu_memcpy", up, 7)]).as_wanted  # the default stream
    assert not usage([]).as_wanted
