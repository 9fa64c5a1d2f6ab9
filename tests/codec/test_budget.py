"""The search for a budget needs few encodes, and never trusts anything but real bytes."""

import numpy as np
import pytest

from manypath import budget
from manypath.codec import Codec, StageTimings
from manypath.errors import BudgetError
from manypath.quality import QUALITY_CODES
from manypath.rate import Rate
from tests.codec.conftest import photo


@pytest.mark.parametrize("octaves", [0.009, 0.0165, 0.03])
@pytest.mark.parametrize("bend", [-1.0, 0.0, 1.0])
def test_a_budget_is_met_in_few_encodes_whatever_the_slope(octaves: float, bend: float) -> None:
    def size(code: int) -> int:
        return round(900 * 2 ** (octaves * code + bend * (code / QUALITY_CODES) ** 2))

    lowest, highest = size(0), size(QUALITY_CODES - 1)
    for most in np.geomspace(lowest * 1.02, highest * 0.98, 12).astype(int).tolist():
        for first in (0, 60, 150, 224):
            tried: list[int] = []

            def encode(code: int, tried: list[int] = tried) -> bytes:
                tried.append(code)
                return bytes(size(code))

            assert 0.95 * most <= len(budget.fit(encode, most, first)) <= most
            assert len(tried) <= 7
            assert len(set(tried)) == len(tried)


def test_jumping_sizes_never_exceed_the_budget() -> None:
    random = np.random.default_rng(0)
    sizes = np.maximum.accumulate(random.integers(1, 4, QUALITY_CODES) ** 6).cumsum() + 100
    for most in (120, 5_000, 20_000):
        try:
            assert len(budget.fit(lambda code: bytes(int(sizes[code])), most, 100)) <= most
        except BudgetError:
            assert sizes[0] > most


def test_latents_serve_the_codes_around_theirs_but_not_the_ends() -> None:
    assert budget.serves(100, 108)
    assert not budget.serves(100, 109)
    assert budget.serves(0, 0)
    assert not budget.serves(1, 0)
    assert not budget.serves(222, QUALITY_CODES - 1)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 40), (40, 1), (300, 200)])
def test_any_picture_has_a_first_guess(height: int, width: int) -> None:
    image = photo(height, width)
    for budget_bytes in (25, 2000, 10**9):
        assert 0 <= budget.first_code(image, budget_bytes) < QUALITY_CODES
    assert budget.first_code(np.zeros_like(image), 2000) >= budget.first_code(image, 2000)


@pytest.mark.parametrize("code", [20, 180])
def test_near_qualities_share_one_analysis(codec: Codec, code: int) -> None:
    """The search for a budget tries more qualities than it analyses, and pays for it with 5 % of the bytes at most."""

    class Counting(StageTimings):
        analyses = 0
        tries = 0

        def add(self, stage: str, seconds: float) -> None:
            self.analyses += stage == "analysis"
            self.tries += stage == "entropy_parameters"  # once a strip, and there is one

    image, told = photo(128, 192), Counting()
    most = len(codec.encode(image, quality=1 + code / 32)) + 20
    stream = codec.encode(image, Rate(max_bytes=most), timings=told)
    assert 1 <= told.analyses < told.tries
    assert 0.95 * most <= len(stream) <= most
