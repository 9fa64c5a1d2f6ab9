"""What judges said of baselines' reconstructions, on disk: a picture that was coded and judged is not again."""

from __future__ import annotations

import contextlib
import pathlib
import sqlite3
from collections.abc import Iterable
from types import TracebackType
from typing import NamedTuple, Self

import numpy as np

from manypath_lab.evaluation.judges.judge import Record
from manypath_lab.model_repository import cache_folder

_SCHEMA = """
CREATE TABLE IF NOT EXISTS records (
    picture TEXT, codec TEXT, version TEXT, settings TEXT, judge TEXT,
    bytes INTEGER NOT NULL, record BLOB NOT NULL,
    PRIMARY KEY (picture, codec, version, settings, judge)
) WITHOUT ROWID
"""


class RecordKey(NamedTuple):
    """What decides a record: change any of these and what is kept no longer counts.

    Attributes:
        picture: digest of the pixels.
        codec: name of the codec.
        version: library and version.
        settings: every option, quality included.
        judge: the judge's version, and what it was asked.
    """

    picture: str
    codec: str
    version: str
    settings: str
    judge: str


class KeptRecord(NamedTuple):
    """One picture coded once and looked at by one judge.

    Attributes:
        bytes: size of the compressed file.
        record: the judge's, float64 [D].
    """

    bytes: int
    record: Record


class RecordCache:
    """An SQLite file of records; several processes may share it."""

    def __init__(self, file: pathlib.Path | None = None) -> None:
        """Open the cache, creating folder and file where needed.

        Args:
            file: The SQLite file; default ``evaluation.sqlite`` in the user's cache.
        """
        self.file = file if file is not None else cache_folder() / "evaluation.sqlite"
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(self.file, timeout=60.0)
        with self._connection:
            self._connection.execute(_SCHEMA)

    def get(self, key: RecordKey) -> KeptRecord | None:
        """Return what is kept under ``key``, or None."""
        with contextlib.closing(
            self._connection.execute(
                "SELECT bytes, record FROM records"
                " WHERE picture=? AND codec=? AND version=? AND settings=? AND judge=?",
                key,
            )
        ) as cursor:
            row = cursor.fetchone()
        return None if row is None else KeptRecord(row[0], np.frombuffer(row[1], dtype="<f8"))

    def put(self, records: Iterable[tuple[RecordKey, KeptRecord]]) -> None:
        """Keep records in one transaction, so that a killed run loses one batch at most."""
        with self._connection:
            self._connection.executemany(
                "INSERT OR REPLACE INTO records VALUES (?, ?, ?, ?, ?, ?, ?)",
                [(*key, kept.bytes, kept.record.astype("<f8").tobytes()) for key, kept in records],
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
