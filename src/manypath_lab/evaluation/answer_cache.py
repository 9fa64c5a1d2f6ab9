"""Networks' answers on peers' reconstructions, on disk beside the rate-distortion points."""

from __future__ import annotations

import contextlib
import pathlib
import sqlite3
from collections.abc import Iterable
from types import TracebackType
from typing import NamedTuple, Self

import numpy as np

from manypath_lab.evaluation.cache import PointKey, cache_folder
from manypath_lab.evaluation.metrics import METRICS_VERSION
from manypath_lab.evaluation.tasks import Record

_SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (
    picture TEXT, codec TEXT, version TEXT, settings TEXT, judge TEXT, metrics TEXT,
    bytes INTEGER NOT NULL, psnr_db REAL NOT NULL, record BLOB NOT NULL,
    PRIMARY KEY (picture, codec, version, settings, judge, metrics)
) WITHOUT ROWID
"""


class AnswerKey(NamedTuple):
    """What decides an answer.

    Attributes:
        point: picture, codec, version and settings.
        judge: the network's version and what it was asked.
    """

    point: PointKey
    judge: str


class CachedAnswer(NamedTuple):
    """One picture coded once and looked at by one network.

    Attributes:
        bytes: size of the compressed file.
        psnr_db: of its reconstruction.
        record: the judge's record.
    """

    bytes: int
    psnr_db: float
    record: Record


class AnswerCache:
    """An SQLite file of answers; several processes may share it."""

    def __init__(self, file: pathlib.Path | None = None) -> None:
        """Open the cache, creating folder and file where needed.

        Args:
            file: the SQLite file; default ``peers.sqlite`` in :func:`cache.cache_folder`.
        """
        self.file = file if file is not None else cache_folder() / "peers.sqlite"
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(self.file, timeout=60.0)
        with self._connection:
            self._connection.execute(_SCHEMA)

    def get(self, key: AnswerKey) -> CachedAnswer | None:
        """Return the answer stored under ``key``, or None."""
        with contextlib.closing(
            self._connection.execute(
                "SELECT bytes, psnr_db, record FROM answers"
                " WHERE picture=? AND codec=? AND version=? AND settings=? AND judge=? AND metrics=?",
                (*key.point, key.judge, METRICS_VERSION),
            )
        ) as cursor:
            row = cursor.fetchone()
        return None if row is None else CachedAnswer(row[0], row[1], np.frombuffer(row[2], dtype="<i4"))

    def put(self, answers: Iterable[tuple[AnswerKey, CachedAnswer]]) -> None:
        """Store answers in one transaction, so that a killed run loses one batch at most."""
        with self._connection:
            self._connection.executemany(
                "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (*key.point, key.judge, METRICS_VERSION, one.bytes, one.psnr_db, one.record.astype("<i4").tobytes())
                    for key, one in answers
                ],
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
