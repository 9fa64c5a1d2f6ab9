import pathlib

import numpy as np
import pytest

from manypath_lab.evaluation.cache import KeptRecord, RecordCache, RecordKey
from manypath_lab.model_repository import cache_folder

KEY = RecordKey("digest", "jpeg", "libjpeg 1", "quality=10", "psnr 1")
KEPT = KeptRecord(1234, np.asarray([31.123456789012345, 1.0, np.nan]))


def same(found: KeptRecord | None) -> bool:
    return (
        found is not None
        and found.bytes == KEPT.bytes
        and found.record.dtype == np.float64
        and np.array_equal(found.record, KEPT.record, equal_nan=True)
    )


def test_a_record_outlives_the_process_that_kept_it_to_the_last_bit(own_cache: pathlib.Path) -> None:
    with RecordCache() as cache:
        assert cache.get(KEY) is None
        cache.put([(KEY, KEPT)])
    with RecordCache() as cache:
        assert same(cache.get(KEY))
    assert (own_cache / "evaluation.sqlite").is_file()


@pytest.mark.parametrize("field", RecordKey._fields)
def test_a_record_is_not_found_once_any_part_of_its_key_changes(field: str) -> None:
    with RecordCache() as cache:
        cache.put([(KEY, KEPT)])
        assert cache.get(KEY._replace(**{field: "other"})) is None


def test_two_open_caches_see_each_others_records() -> None:
    with RecordCache() as one, RecordCache() as other:
        one.put([(KEY, KEPT)])
        assert same(other.get(KEY))


def test_without_a_setting_the_cache_lies_in_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MANYPATH_CACHE")
    assert cache_folder() == pathlib.Path.home() / ".cache" / "manypath"
