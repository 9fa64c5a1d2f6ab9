"""Answers on reconstructions: every codec, every setting, every picture, every network, by real bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from manypath.paths import DecodePath
from manypath_lab.evaluation.answer_cache import AnswerCache, AnswerKey, CachedAnswer
from manypath_lab.evaluation.cache import PointKey
from manypath_lab.evaluation.metrics import psnr
from manypath_lab.evaluation.peers import Peer, PeerError
from manypath_lab.evaluation.pictures import folder_digest
from manypath_lab.evaluation.tasks import Case, Judge, Record

if TYPE_CHECKING:
    from manypath.codec import Codec

BATCH = 10  # pictures coded together
LEVELS = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0)

# Where peers lose some 8 points down to where they lose 1: on photos of 227x227, and on street scenes of 480x360.
PHOTO_QUALITIES: dict[str, tuple[int, ...]] = {
    "jpeg": (26, 38, 52, 66, 78, 86, 91, 95),
    "webp": (38, 52, 66, 76, 84, 90, 95),
    "avif": (38, 46, 55, 64, 72, 80, 88),
    "jxl": (40, 52, 62, 72, 80, 87, 92),
}
STREET_QUALITIES: dict[str, tuple[int, ...]] = {
    "jpeg": (12, 18, 26, 38, 52, 66, 78, 88, 95),
    "webp": (8, 15, 25, 38, 52, 66, 80, 90),
    "avif": (10, 16, 22, 30, 38, 46, 55, 66, 76, 86),
    "jxl": (8, 15, 22, 28, 40, 52, 66, 80, 90),
}


class Look(NamedTuple):
    """One picture at one setting, as networks see it.

    Attributes:
        bytes: size of the whole file, header included.
        psnr_db: of the reconstruction.
        records: one per judge, in their order.
    """

    bytes: int
    psnr_db: float
    records: list[Record]


class Line(NamedTuple):
    """A curve's identity.

    Attributes:
        name: short name.
        label: name for plots.
        version: what wrote the bytes.
        path: our path, or empty for a peer.
    """

    name: str
    label: str
    version: str
    path: str = ""

    @property
    def ours(self) -> bool:
        """True for this project's codec."""
        return bool(self.path)


class Source(Protocol):
    """A codec that makes one or more lines out of each stream."""

    @property
    def lines(self) -> Sequence[Line]:
        """What it makes."""

    @property
    def qualities(self) -> Sequence[float]:
        """Settings, in rising order of rate."""

    def look(self, cases: Sequence[Case], quality: float, judges: Sequence[Judge]) -> list[list[Look]]:
        """Code the pictures and let the judges see them: [line][case]."""


class PeerSource:
    """A peer whose answers are looked up on disk first."""

    def __init__(self, peer: Peer, cache: AnswerCache | None, qualities: Sequence[int] | None = None) -> None:
        self._peer = peer
        self._cache = cache
        self.lines = (Line(peer.name, peer.label, peer.version),)
        self.qualities: Sequence[float] = qualities or peer.qualities

    def look(self, cases: Sequence[Case], quality: float, judges: Sequence[Judge]) -> list[list[Look]]:
        """Return cached answers, coding only what is missing."""
        known: dict[tuple[int, int], CachedAnswer] = {}
        keys: dict[tuple[int, int], AnswerKey] = {}
        for row, case in enumerate(cases):
            settings = self._peer.settings(int(quality))
            point = PointKey(case.picture.digest, self._peer.name, self._peer.version, settings)
            for column, judge in enumerate(judges):
                place = row, column
                keys[place] = AnswerKey(point, f"{judge.version} {judge.question(case)}".rstrip())
                found = self._cache.get(keys[place]) if self._cache else None
                if found is not None:
                    known[place] = found
        todo = sorted({row for row, column in keys if (row, column) not in known})
        if todo:
            fresh = self._code([cases[row] for row in todo], int(quality), judges)
            for row, look in zip(todo, fresh, strict=True):
                for column, record in enumerate(look.records):
                    known[row, column] = CachedAnswer(look.bytes, look.psnr_db, record)
            if self._cache:
                places = [(row, column) for row in todo for column in range(len(judges))]
                self._cache.put((keys[place], known[place]) for place in places)
        return [
            [
                Look(known[row, 0].bytes, known[row, 0].psnr_db, [known[row, c].record for c in range(len(judges))])
                for row in range(len(cases))
            ]
        ]

    def _code(self, cases: Sequence[Case], quality: int, judges: Sequence[Judge]) -> list[Look]:
        sizes, images = [], []
        for case in cases:
            try:
                data = self._peer.encode(case.picture.pixels, quality)
                images.append(self._peer.decode(data))
            except (OSError, ValueError, RuntimeError) as err:
                where = f"{case.picture.name} at quality {quality}"
                raise PeerError(f"{self._peer.label} failed on {where}: {err}") from err
            sizes.append(len(data))
        records = [judge.examine(cases, images) for judge in judges]
        return [
            Look(size, psnr(case.picture.pixels, image), list(own))
            for case, size, image, own in zip(cases, sizes, images, zip(*records, strict=True), strict=True)
        ]


class CodecSource:
    """Our codec through its front door: each stream is written once and decoded by every path."""

    def __init__(
        self,
        codec: Codec,
        requests: Sequence[tuple[str, float]] | None = None,
        *,
        version: str | None = None,
        levels: Sequence[float] = LEVELS,
    ) -> None:
        """Take a codec.

        Args:
            codec: ours.
            requests: paths with their task share; default: all that the model has weights for, at 1.
            version: of the weights; the model's digest tells nothing of side paths.
            levels: qualities.
        """
        self._codec = codec
        self._requests = list(requests) if requests else [(path, 1.0) for path in served_paths(codec)]
        version = version or f"model {codec.model_digest}, {codec.device}"
        self.lines = tuple(
            Line(f"{codec.name}-{_say(path, share)}", f"Manypath {_say(path, share, ' ')}", version, path)
            for path, share in self._requests
        )
        self.qualities = levels

    def look(self, cases: Sequence[Case], quality: float, judges: Sequence[Judge]) -> list[list[Look]]:
        """Encode to real bitstreams, decode all paths of each, and ask."""
        streams = self._codec.encode_batch([case.picture.pixels for case in cases], quality=quality)
        made = [self._codec.decode_paths(stream, self._requests) for stream in streams]
        lines = []
        for number in range(len(self._requests)):
            images = [own[number] for own in made]
            records = [judge.examine(cases, images) for judge in judges]
            lines.append(
                [
                    Look(len(stream), psnr(case.picture.pixels, image), list(own))
                    for case, stream, image, own in zip(cases, streams, images, zip(*records, strict=True), strict=True)
                ]
            )
        return lines


def served_paths(codec: Codec) -> list[str]:
    """Return the model's own paths: the main path, the well-known ones it has weights for, then its owner's."""
    known = [path.value for path in DecodePath if codec.serves(path)]
    return known + sorted(codec.trained_paths - set(known))


def _say(path: str, share: float, between: str = "-") -> str:
    return path if share == 1.0 else f"{path}{between}{share:g}"


class Answers(NamedTuple):
    """A line's answers at all settings, settings in rising order of mean rate.

    Attributes:
        line: whose they are.
        qualities: the K settings.
        bpp: float64 [P, K], real bits per pixel of each picture.
        psnr_db: float64 [P, K].
        records: int32 [P, K, n], one array per judge.
    """

    line: Line
    qualities: tuple[float, ...]
    bpp: npt.NDArray[np.float64]
    psnr_db: npt.NDArray[np.float64]
    records: tuple[npt.NDArray[np.int32], ...]


class TaskRun(NamedTuple):
    """What one run found.

    Attributes:
        cases: pictures and truths.
        folder: digest of the pictures.
        judges: networks asked.
        originals: int32 [P, n], one array per judge: the records of the originals.
        answers: one per line.
    """

    cases: tuple[Case, ...]
    folder: str
    judges: tuple[Judge, ...]
    originals: tuple[npt.NDArray[np.int32], ...]
    answers: tuple[Answers, ...]


def count_steps(sources: Sequence[Source], cases: int) -> int:
    """Return how many pictures times settings :func:`run` will report, the originals included."""
    return cases * (1 + sum(len(source.qualities) for source in sources))


def run(
    cases: Sequence[Case],
    sources: Sequence[Source],
    judges: Sequence[Judge],
    *,
    advance: Callable[[str, int], None] | None = None,
) -> TaskRun:
    """Ask every judge about every original and about every reconstruction.

    Args:
        cases: pictures with their truth.
        sources: codecs.
        judges: frozen networks.
        advance: called with what was done and how many steps it was.

    Raises:
        PeerError: a peer failed.
        ManypathError: our codec failed.
    """
    report = advance or _silent
    originals: list[list[Record]] = [[] for _ in judges]
    looks: dict[tuple[int, int, float], list[Look]] = {}
    for start in range(0, len(cases), BATCH):
        batch = cases[start : start + BATCH]
        for records, judge in zip(originals, judges, strict=True):
            records.extend(judge.examine(batch, [case.picture.pixels for case in batch]))
        report("originals", len(batch))
        for number, source in enumerate(sources):
            for quality in source.qualities:
                for line, seen in enumerate(source.look(batch, quality, judges)):
                    looks.setdefault((number, line, quality), []).extend(seen)
                report(f"{source.lines[0].label} at {quality:g}", len(batch))
    pixels = np.asarray([case.picture.pixels.shape[0] * case.picture.pixels.shape[1] for case in cases])
    answers = tuple(
        _answers(line, [(quality, looks[number, place, quality]) for quality in source.qualities], pixels)
        for number, source in enumerate(sources)
        for place, line in enumerate(source.lines)
    )
    digest = folder_digest([case.picture.digest for case in cases])
    return TaskRun(tuple(cases), digest, tuple(judges), tuple(np.stack(own) for own in originals), answers)


def _silent(what: str, steps: int) -> None:
    """Report progress to nobody."""


def _answers(line: Line, settings: list[tuple[float, list[Look]]], pixels: npt.NDArray[np.int64]) -> Answers:
    ordered = sorted(settings, key=lambda setting: sum(look.bytes for look in setting[1]))
    columns = [looks for _, looks in ordered]
    judges = range(len(columns[0][0].records))
    return Answers(
        line,
        tuple(quality for quality, _ in ordered),
        np.stack([8.0 * np.asarray([look.bytes for look in looks]) / pixels for looks in columns], 1),
        np.stack([np.asarray([look.psnr_db for look in looks]) for looks in columns], 1),
        tuple(
            np.stack([np.stack([look.records[judge] for look in looks]) for looks in columns], 1) for judge in judges
        ),
    )
