"""Peers' points on disk: a picture that a codec has coded before is not coded again."""

from __future__ import annotations

import contextlib
import os
import pathlib
import sqlite3
from types import TracebackType
from typing import NamedTuple, Self

from manypath_lab.evaluation.metrics import METRICS_VERSION, Distortion

_SCHEMA = """
CREATE TABLE IF NOT EXISTS points (
    picture TEXT, codec TEXT, version TEXT, settings TEXT, metrics TEXT,
    bytes INTEGER NOT NULL, psnr_db REAL NOT NULL, ms_ssim REAL, perceptual REAL,
    PRIMARY KEY (picture, codec, version, settings, metrics)
) WITHOUT ROWID
"""


class PointKey(NamedTuple):
    """What decides a point: change any of these and the cached value no longer counts.

    Attributes:
        picture: Digest of the pixels.
        codec: Name of the codec.
        version: Library and version.
        settings: Every option, quality included.
    """

    picture: str
    codec: str
    version: str
    settings: str


class CachedPoint(NamedTuple):
    """One picture coded once.

    Attributes:
        bytes: Size of the compressed file.
        distortion: What its reconstruction is worth.
    """

    bytes: int
    distortion: Distortion


def cache_folder() -> pathlib.Path:
    """Return ``$MANYPATH_CACHE``, or ``~/.cache/manypath``."""
    configured = os.environ.get("MANYPATH_CACHE")
    return pathlib.Path(configured) if configured else pathlib.Path.home() / ".cache" / "manypath"


class PointCache:
    """An SQLite file of points; several processes may share it."""

    def __init__(self, file: pathlib.Path | None = None) -> None:
        """Open the cache, creating folder and file where needed.

        Args:
            file: The SQLite file; default ``peers.sqlite`` in :func:`cache_folder`.
        """
        self.file = file if file is not None else cache_folder() / "peers.sqlite"
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(self.file, timeout=60.0)
        with self._connection:
            self._connection.execute(_SCHEMA)
            columns = {row[1] for row in self._connection.execute("PRAGMA table_info(points)")}
            if "perceptual" not in columns:  # a file of an older version
                self._connection.execute("ALTER TABLE points ADD COLUMN perceptual REAL")

    def get(self, key: PointKey) -> CachedPoint | None:
        """Return the point stored under ``key``, or None."""
        with contextlib.closing(
            self._connection.execute(
                "SELECT bytes, psnr_db, ms_ssim, perceptual FROM points"
                " WHERE picture=? AND codec=? AND version=? AND settings=? AND metrics=?",
                (*key, METRICS_VERSION),
            )
        ) as cursor:
            row = cursor.fetchone()
        return None if row is None else CachedPoint(row[0], Distortion(*row[1:]))

    def put(self, key: PointKey, point: CachedPoint) -> None:
        """Store ``point`` under ``key`` at once, so that a killed run loses nothing."""
        with self._connection:
            self._connection.execute(
                "INSERT OR REPLACE INTO points"
                " (picture, codec, version, settings, metrics, bytes, psnr_db, ms_ssim, perceptual)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (*key, METRICS_VERSION, point.bytes, *point.distortion),
            )

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
