import contextlib
import pathlib
import sqlite3

import pytest

from manypath_lab.evaluation import cache as cache_module
from manypath_lab.evaluation.cache import CachedPoint, PointCache, PointKey, cache_folder
from manypath_lab.evaluation.metrics import Distortion

KEY = PointKey("digest", "jpeg", "libjpeg 1", "quality=10")
POINT = CachedPoint(1234, Distortion(31.5, None))


def test_a_point_outlives_the_process_that_stored_it(own_cache: pathlib.Path) -> None:
    with PointCache() as cache:
        assert cache.get(KEY) is None
        cache.put(KEY, POINT)
    with PointCache() as cache:
        assert cache.get(KEY) == POINT
    assert (own_cache / "peers.sqlite").is_file()


@pytest.mark.parametrize("field", PointKey._fields)
def test_a_point_is_not_found_once_any_part_of_its_key_changes(field: str) -> None:
    with PointCache() as cache:
        cache.put(KEY, POINT)
        assert cache.get(KEY._replace(**{field: "other"})) is None


def test_a_point_is_not_found_once_the_metrics_change(monkeypatch: pytest.MonkeyPatch) -> None:
    with PointCache() as cache:
        cache.put(KEY, POINT)
        monkeypatch.setattr(cache_module, "METRICS_VERSION", "another")
        assert cache.get(KEY) is None


def test_two_open_caches_see_each_others_points() -> None:
    with PointCache() as one, PointCache() as other:
        one.put(KEY, POINT)
        assert other.get(KEY) == POINT


def test_without_a_setting_the_cache_lies_in_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MANYPATH_CACHE")
    assert cache_folder() == pathlib.Path.home() / ".cache" / "manypath"


def test_a_cache_of_an_older_version_keeps_its_points(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "old.sqlite"
    with contextlib.closing(sqlite3.connect(file)) as old, old:
        old.execute(
            "CREATE TABLE points (picture TEXT, codec TEXT, version TEXT, settings TEXT, metrics TEXT, bytes INTEGER,"
            " psnr_db REAL, ms_ssim REAL, PRIMARY KEY (picture, codec, version, settings, metrics)) WITHOUT ROWID"
        )
        old.execute(
            "INSERT INTO points VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (*KEY, cache_module.METRICS_VERSION, 1234, 31.5, None)
        )
    better = POINT._replace(distortion=POINT.distortion._replace(perceptual=0.25))
    with PointCache(file) as cache:
        assert cache.get(KEY) == POINT
        cache.put(KEY, better)
        assert cache.get(KEY) == better
