"""Tens of thousands of broken streams: always a named error or the exact picture."""

from __future__ import annotations

import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest

from manypath.bitstream import pack, parse
from tests.hostile.mutate import run
from tests.hostile.mutations import Mutant, mutants
from tests.hostile.targets import ContainerTarget, ViolationError

ROOT = Path(__file__).parents[2]
CONTAINER_MUTANTS = 20_000
CODEC_MUTANTS = 5_000


def test_mutated_containers_are_refused_by_name_or_parse_into_themselves() -> None:
    target = ContainerTarget()
    outcomes = run(target, 0, CONTAINER_MUTANTS)
    assert outcomes.total() == CONTAINER_MUTANTS
    seen = {outcome for _, outcome in outcomes}
    # All of them, or the mutations do not reach what they are meant to reach.
    assert seen == {"accepted", "CorruptError", "FormatError", "LimitError", "TruncatedError"}


def test_parsing_a_mutant_allocates_no_more_than_its_bytes_justify() -> None:
    target = ContainerTarget()
    longest = 0
    tracemalloc.start()
    try:
        for number in range(2000):
            (mutant,) = mutants(target.seeds, number, 1, seed=21)
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            run(target, number, 1, seed=21)
            peak = tracemalloc.get_traced_memory()[1] - before
            # The harness itself holds the mutant, its parts and a packed copy; a lie would cost gigabytes.
            assert peak < 512 * 1024 + 16 * len(mutant.data), f"mutant {number} took {peak} bytes"
            longest = max(longest, len(mutant.data))
    finally:
        tracemalloc.stop()
    assert longest > 10_000


def test_mutants_follow_from_seed_and_number_alone() -> None:
    seeds = ContainerTarget().seeds
    assert list(mutants(seeds, 0, 50))[30:] == list(mutants(seeds, 30, 20))
    assert list(mutants(seeds, 0, 5, seed=1)) != list(mutants(seeds, 0, 5, seed=2))


def test_the_harness_notices_damage_that_was_accepted() -> None:
    target = ContainerTarget()
    other = pack(parse(target.seeds[0])._replace(quality_code=1))
    assert target.check(Mutant(other, "forged", checksum_fixed=True)) == "accepted"
    with pytest.raises(ViolationError, match="cannot be right"):
        target.check(Mutant(other, "damaged", checksum_fixed=False))


def test_mutated_streams_decode_to_the_exact_picture_or_a_named_error() -> None:
    """In a process of its own: a crash, a hang or an allocation beyond the limits would take it down."""
    command = [
        sys.executable,
        "-m",
        "tests.hostile.mutate",
        "--level",
        "codec",
        "--count",
        str(CODEC_MUTANTS),
    ]
    path = os.pathsep.join([str(ROOT), str(ROOT / "src")])
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert f"{CODEC_MUTANTS} mutants, no violation" in done.stdout
    for outcome in ("exact picture", "DesyncError", "ModelMismatchError", "decoded as cut", "forged size"):
        assert outcome in done.stdout
