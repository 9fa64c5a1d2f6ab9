import pathlib
import subprocess
import sys

import numpy as np
import pytest

from benchmarks.exactness.__main__ import Verdict, compare, first_difference, report
from benchmarks.exactness.conditions import ON_CPU, Condition
from benchmarks.exactness.probe import entropy_parameters, read_streams, store_random, write_streams
from manypath.codec import Codec
from manypath.testing import random_model
from manypath_lab.machine import cpu_flags


def test_two_threads_and_bf16_agree_with_the_reference_in_every_symbol() -> None:
    (verdict,) = compare("tiny-random", [Condition("other", threads=2, dtype="bfloat16", batch=4)])
    assert verdict.differences == ()
    assert verdict.compared > 100_000


def test_parameters_do_not_depend_on_the_batch() -> None:
    model = random_model("tiny").model
    one, four = (entropy_parameters(model, "cpu", batch) for batch in (1, 4))
    assert one.keys() == four.keys()
    assert all(np.array_equal(one[name], four[name]) for name in one)


def test_parameters_use_the_range_that_they_are_meant_to_probe() -> None:
    recorded = entropy_parameters(random_model("tiny").model, "cpu", 4)
    means = np.concatenate([values.ravel() for name, values in recorded.items() if name.endswith("mean")])
    assert len(np.unique(means)) > 20


def test_another_model_is_a_difference_at_its_first_position(tmp_path: pathlib.Path) -> None:
    for seed in (0, 1):
        recorded = entropy_parameters(random_model("tiny", seed).model, "cpu", 4)
        np.savez(tmp_path / f"{seed}.npz", **recorded)
    compared, difference = first_difference(tmp_path / "0.npz", tmp_path / "1.npz")
    assert compared > 0
    assert difference.startswith("quality code 0, natural, sample 0, step 0, mean, position ")
    assert "the reference says" in difference
    assert first_difference(tmp_path / "0.npz", tmp_path / "0.npz")[1] == ""


def test_a_stream_that_cannot_be_decoded_is_named(tmp_path: pathlib.Path) -> None:
    codec = Codec.load(store_random("tiny", tmp_path / "model.safetensors"))
    streams = tmp_path / "streams"
    streams.mkdir()
    write_streams(codec, streams, 1)
    assert read_streams(codec, streams, 4) == ""
    victim = streams / "picture 1, quality 4.5.mpth"
    damaged = bytearray(victim.read_bytes())
    damaged[-1] ^= 1
    victim.write_bytes(damaged)
    assert read_streams(codec, streams, 1).startswith("picture 1, quality 4.5: CorruptError")


def test_the_report_ends_with_pass_or_fail() -> None:
    same, skipped = Verdict("a", 10, ()), Verdict("b", 0, (), "no AMX here")
    assert report([same, skipped]).splitlines()[-1] == "PASS: 1 conditions equal the reference"
    assert "skip  b: no AMX here" in report([same, skipped])
    assert report([same, Verdict("c", 10, ("x", "y"))]).splitlines() == [
        *("same  a: 10 means and scale indexes; all streams", "DIFF  c: x", "DIFF  c: y"),
        "FAIL: 1 of 2 conditions",
    ]


@pytest.mark.parametrize(("name", "capability"), [("SSE4.1", "DEFAULT"), ("AVX2", "AVX2"), ("2 threads", "")])
def test_a_condition_reaches_the_library_that_computes(name: str, capability: str) -> None:
    """What torch itself says in a process of that condition."""
    (condition,) = [one for one in ON_CPU if one.name == name]
    if condition.needs and condition.needs not in cpu_flags():
        pytest.skip(f"this CPU has no {condition.needs}")
    ask = "import torch; print(torch.get_num_threads(), torch.backends.cpu.get_cpu_capability())"
    done = subprocess.run(
        [sys.executable, "-c", ask], env=condition.environment(), capture_output=True, text=True, check=True
    )
    threads, said = done.stdout.split(maxsplit=1)
    assert int(threads) == condition.threads
    assert capability in {"", said.strip()}
