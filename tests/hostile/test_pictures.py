"""Thousands of broken picture files: a picture or a named error, and metadata never cost a pixel."""

from __future__ import annotations

import pytest

from tests.hostile.picture_files import Mutant, mutants
from tests.hostile.pictures import PictureTarget, run
from tests.hostile.targets import ViolationError
from tests.pictures.files import saved, scene

COUNT = 2500


def test_mutated_pictures_are_read_or_refused_by_name() -> None:
    outcomes = run(PictureTarget(), 0, COUNT)
    assert outcomes.total() == COUNT
    # All of them, or the mutations do not reach what they are meant to reach.
    assert {outcome for _, outcome in outcomes} >= {
        "read",
        "read whole",
        "AnimationError",
        "DepthError",
        "PictureDamagedError",
        "PictureFormatError",
        "PictureLimitError",
    }
    assert {outcome for kind, outcome in outcomes if kind == "metadata"} == {"read whole"}


def test_mutants_of_pictures_follow_from_seed_and_number_alone() -> None:
    files = PictureTarget().seeds
    assert list(mutants(files, 0, 50))[30:] == list(mutants(files, 30, 20))
    assert list(mutants(files, 0, 5, seed=1)) != list(mutants(files, 0, 5, seed=2))


def test_the_harness_notices_a_lost_picture_and_a_wrong_one() -> None:
    target = PictureTarget()
    with pytest.raises(ViolationError, match="metadata cost a picture"):
        target.check(Mutant(b"nothing", "metadata", 0, sound=True))
    other = saved(scene(24, 16, seed=6))
    assert target.check(Mutant(other, "anywhere", 0)) == "read"
    with pytest.raises(ViolationError, match="another picture"):
        target.check(Mutant(other, "end", 0, whole=True))
