import json
import pathlib

import pytest

from benchmarks.memory import main, peak_megabytes


def test_encoding_and_decoding_are_measured_in_processes_of_their_own(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ballast = bytearray(500_000_000)  # of the process that starts them: must not be counted as theirs
    ballast[::4096] = b"\1" * len(ballast[::4096])
    file = tmp_path / "memory.json"
    code = main(["--model", "tiny-random", "--width", "128", "--height", "96", "--threads", "1", "--output", str(file)])
    del ballast
    peaks = {peak["step"]: peak["megabytes"] for peak in json.loads(file.read_text())["peaks"]}
    assert code == 0
    assert list(peaks) == ["load", "encode", "decode"]
    assert 50 < peaks["load"] < 500
    assert peaks["load"] <= 1.05 * min(peaks["encode"], peaks["decode"])
    assert "PASS" in capsys.readouterr().out


def test_a_step_that_fails_ends_the_command_with_its_last_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--model", "no-such-model", "--width", "64", "--height", "64", "--threads", "1"]) == 2
    assert "no model 'no-such-model'" in capsys.readouterr().err


def test_the_peak_of_this_process_is_counted_in_megabytes() -> None:
    assert 20 < peak_megabytes() < 100_000
