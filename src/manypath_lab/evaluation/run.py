"""One run: every codec, every setting, every picture, every judge, by real bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from manypath.errors import ImageError
from manypath_lab.evaluation.cache import KeptRecord, RecordCache, RecordKey
from manypath_lab.evaluation.codecs.codec import Line, Source
from manypath_lab.evaluation.judges.judge import Floats, Judge, Record
from manypath_lab.evaluation.pictures import folder_digest
from manypath_lab.evaluation.sets import Case, Load

BATCH_PICTURES = 10  # coded together
BATCH_PIXELS = 2_000_000  # of all of them; a larger picture is a batch of its own

Advance = Callable[[str, int], None]
"""Told of each step: what was done, and how many pictures times settings it was."""


class Track(NamedTuple):
    """A line's records at all settings, settings in rising order of mean rate.

    Attributes:
        line: whose they are.
        qualities: the K settings.
        bpp: float64 [P, K], real bits per pixel of each picture.
        records: float64 [P, K, D], one array per judge.
    """

    line: Line
    qualities: tuple[float, ...]
    bpp: Floats
    records: tuple[Floats, ...]


class Run(NamedTuple):
    """What one run found.

    Attributes:
        names: of the P pictures that were measured.
        digest: of all of them.
        judges: those asked.
        originals: float64 [P, D], one array per judge: the records of the originals.
        tracks: one per line.
        skipped: one message per picture that could not be read.
    """

    names: tuple[str, ...]
    digest: str
    judges: tuple[Judge, ...]
    originals: tuple[Floats, ...]
    tracks: tuple[Track, ...]
    skipped: tuple[str, ...] = ()


class _Look(NamedTuple):
    bytes: int
    records: Sequence[Record]


def count_steps(sources: Sequence[Source], pictures: int) -> int:
    """Return how many pictures times settings :func:`run` will report, the originals included."""
    return pictures * (1 + sum(len(source.qualities) for source in sources))


def run(
    loads: Sequence[Load],
    sources: Sequence[Source],
    judges: Sequence[Judge],
    *,
    cache: RecordCache | None = None,
    advance: Advance | None = None,
) -> Run:
    """Ask every judge about every original and about every reconstruction.

    Args:
        loads: read the pictures; one that cannot be read is named in the result and left out.
        sources: codecs.
        judges: what is asked.
        cache: where records of codecs whose results may be kept are looked up and stored.
        advance: told of the progress.

    Raises:
        ImageError: no picture could be read.
        BaselineError: a baseline failed; the message names picture and quality.
        ManypathError: our codec failed.
    """
    report = advance or _silent
    skipped: list[str] = []
    names, digests, pixels = [], [], []
    originals: list[list[Record]] = [[] for _ in judges]
    looks: dict[tuple[int, int, float], list[_Look]] = {}
    for batch in _batches(loads, skipped, lambda: report("unreadable", count_steps(sources, 1))):
        names += [case.picture.name for case in batch]
        digests += [case.picture.digest for case in batch]
        pixels += [case.picture.pixels.shape[0] * case.picture.pixels.shape[1] for case in batch]
        for kept, judge in zip(originals, judges, strict=True):
            kept.extend(judge.examine(batch, [case.picture.pixels for case in batch]))
        report("originals", len(batch))
        for number, source in enumerate(sources):
            for quality in source.qualities:
                for line, seen in enumerate(_look(batch, source, quality, judges, cache)):
                    looks.setdefault((number, line, quality), []).extend(seen)
                report(f"{source.lines[0].label} at {quality:g}", len(batch))
    if not names:
        raise ImageError(f"none of the {len(loads)} pictures could be read; the first: {skipped[:1]}")
    tracks = tuple(
        _track(line, {quality: looks[number, place, quality] for quality in source.qualities}, np.asarray(pixels))
        for number, source in enumerate(sources)
        for place, line in enumerate(source.lines)
    )
    stacked = tuple(np.stack(records) for records in originals)
    return Run(tuple(names), folder_digest(digests), tuple(judges), stacked, tracks, tuple(skipped))


def _silent(what: str, steps: int) -> None:
    """Report progress to nobody."""


def _batches(loads: Sequence[Load], skipped: list[str], on_skip: Callable[[], None]) -> Iterator[list[Case]]:
    """Yield readable pictures a few at a time, so that a large set never stands in memory as a whole."""
    batch: list[Case] = []
    room = BATCH_PIXELS
    for load in loads:
        try:
            case = load()
        except ImageError as err:
            skipped.append(str(err))
            on_skip()
            continue
        size = case.picture.pixels.shape[0] * case.picture.pixels.shape[1]
        if batch and (len(batch) == BATCH_PICTURES or size > room):
            yield batch
            batch, room = [], BATCH_PIXELS
        batch.append(case)
        room -= size
    if batch:
        yield batch


def _look(
    cases: Sequence[Case], source: Source, quality: float, judges: Sequence[Judge], cache: RecordCache | None
) -> list[list[_Look]]:
    """Return what judges say of each line's reconstructions, [line][case], coding only what is not kept."""
    settings = source.settings(quality)
    if cache is None or settings is None:
        return _code(cases, source, quality, judges)
    keys = [
        [
            [
                RecordKey(
                    *(case.picture.digest, line.name, line.version, settings),
                    f"{judge.version} {judge.question(case)}".rstrip(),
                )
                for judge in judges
            ]
            for case in cases
        ]
        for line in source.lines
    ]
    kept = {key: record for lines in keys for row in lines for key in row if (record := cache.get(key)) is not None}
    missing = [number for number in range(len(cases)) if any(key not in kept for line in keys for key in line[number])]
    if missing:
        fresh = {
            key: KeptRecord(look.bytes, record)
            for line, looks in zip(keys, _code([cases[n] for n in missing], source, quality, judges), strict=True)
            for number, look in zip(missing, looks, strict=True)
            for key, record in zip(line[number], look.records, strict=True)
        }
        cache.put(fresh.items())
        kept |= fresh
    return [[_Look(kept[row[0]].bytes, [kept[key].record for key in row]) for row in line] for line in keys]


def _code(cases: Sequence[Case], source: Source, quality: float, judges: Sequence[Judge]) -> list[list[_Look]]:
    lines = []
    for coded in source.code([case.picture for case in cases], quality):
        answers = [judge.examine(cases, [one.image for one in coded]) for judge in judges]
        of_each = zip(*answers, strict=True)
        lines.append([_Look(one.bytes, records) for one, records in zip(coded, of_each, strict=True)])
    return lines


def _track(line: Line, settings: dict[float, list[_Look]], pixels: Floats) -> Track:
    qualities = sorted(settings, key=lambda quality: sum(look.bytes for look in settings[quality]))
    columns = [settings[quality] for quality in qualities]
    judges = range(len(columns[0][0].records))
    return Track(
        line,
        tuple(qualities),
        np.stack([8.0 * np.asarray([look.bytes for look in looks]) / pixels for looks in columns], 1),
        tuple(
            np.stack([np.stack([look.records[judge] for look in looks]) for looks in columns], 1) for judge in judges
        ),
    )
