"""Rate-distortion measurement: every codec, every setting, every picture, by real bytes."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from manypath.errors import ImageError
from manypath.paths import DecodePath
from manypath_lab.evaluation.cache import CachedPoint, PointCache, PointKey
from manypath_lab.evaluation.curve import Curve, Sample, average
from manypath_lab.evaluation.metrics import Perceive, measure
from manypath_lab.evaluation.peers import Peer, PeerError
from manypath_lab.evaluation.pictures import Picture, folder_digest, load_picture

if TYPE_CHECKING:
    from manypath.codec import Codec

LEVELS = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0)


class Candidate(Protocol):
    """Anything that can be put on a rate-distortion plot."""

    @property
    def name(self) -> str:
        """Short name."""

    @property
    def label(self) -> str:
        """Name for plots."""

    @property
    def version(self) -> str:
        """What wrote the bytes."""

    @property
    def ours(self) -> bool:
        """True for this project's codec."""

    @property
    def qualities(self) -> Sequence[float]:
        """Settings to measure, in rising order of rate."""

    def sample(self, picture: Picture, quality: float) -> Sample:
        """Encode and decode one picture."""


class PeerCandidate:
    """A peer whose points are looked up on disk first."""

    ours = False

    def __init__(self, peer: Peer, cache: PointCache | None, perceive: Perceive | None = None) -> None:
        self._peer = peer
        self._cache = cache
        self._perceive = perceive
        self.name = peer.name
        self.label = peer.label
        self.version = peer.version
        self.qualities: Sequence[float] = peer.qualities

    def sample(self, picture: Picture, quality: float) -> Sample:
        """Return the cached point of this picture, or code it and remember the result."""
        setting = int(quality)
        key = PointKey(picture.digest, self.name, self.version, self._peer.settings(setting))
        point = self._cache.get(key) if self._cache else None
        if point is None or (self._perceive is not None and point.distortion.perceptual is None):
            try:
                data = self._peer.encode(picture.pixels, setting)
                reconstruction = self._peer.decode(data)
            except (OSError, ValueError, RuntimeError) as err:
                raise PeerError(f"{self.label} failed on {picture.name} at quality {setting}: {err}") from err
            point = CachedPoint(len(data), measure(picture.pixels, reconstruction, self._perceive))
            if self._cache:
                self._cache.put(key, point)
        return Sample(point.bytes, _pixels(picture), point.distortion)


class CodecCandidate:
    """Our own codec through its front door, on one path; never cached, since weights change daily."""

    ours = True

    def __init__(
        self,
        codec: Codec,
        *,
        name: str,
        levels: Sequence[float] = LEVELS,
        path: str = DecodePath.PERCEPTUAL,
        task_share: float = 1.0,
        perceive: Perceive | None = None,
    ) -> None:
        self._codec = codec
        self._path = path
        self._task_share = task_share
        self._perceive = perceive
        side = "" if path == DecodePath.PERCEPTUAL else f" {path}"
        self.name = f"{name}{side.replace(' ', '-')}"
        self.label = f"Manypath {name}{side}"
        self.version = f"model {codec.model_digest}, {codec.device}"
        self.qualities = levels

    def sample(self, picture: Picture, quality: float) -> Sample:
        """Encode to the real bitstream, header included, and decode it again."""
        data = self._codec.encode(picture.pixels, quality=quality)
        reconstruction = self._codec.decode(data, path=self._path, task_share=self._task_share)
        return Sample(len(data), _pixels(picture), measure(picture.pixels, reconstruction, self._perceive))


class Measurement(NamedTuple):
    """What one run found.

    Attributes:
        curves: One per candidate, in the order given.
        folder: Digest of the pictures used, whatever their names.
        pictures: How many were measured.
        skipped: One message per picture that could not be read.
    """

    curves: tuple[Curve, ...]
    folder: str
    pictures: int
    skipped: tuple[str, ...]


def count_steps(candidates: Sequence[Candidate], pictures: int) -> int:
    """Return how often :func:`run` will call ``advance``."""
    return pictures * sum(len(candidate.qualities) for candidate in candidates)


def run(
    files: Sequence[pathlib.Path],
    candidates: Sequence[Candidate],
    *,
    advance: Callable[[str, int], None] | None = None,
) -> Measurement:
    """Measure every candidate on every picture.

    Args:
        files: Picture files; a picture that cannot be read is named in the result and left out.
        candidates: Codecs to measure.
        advance: Called after each step with what was done and how many steps it was.

    Raises:
        ImageError: No picture could be read.
        PeerError: A peer failed; the message names picture and quality.
        ManypathError: Our codec failed.
    """
    report = advance or _silent
    samples: dict[tuple[int, float], list[Sample]] = {}
    digests: list[str] = []
    skipped: list[str] = []
    steps = count_steps(candidates, 1)
    for file in files:
        try:
            picture = load_picture(file)
        except ImageError as err:
            skipped.append(str(err))
            report(f"skipped {file.name}", steps)
            continue
        digests.append(picture.digest)
        for number, candidate in enumerate(candidates):
            for quality in candidate.qualities:
                sample = candidate.sample(picture, quality)
                samples.setdefault((number, quality), []).append(sample)
                report(f"{candidate.label} on {picture.name}", 1)
    if not digests:
        raise ImageError(f"none of the {len(files)} pictures could be read; the first: {skipped[:1]}")
    curves = tuple(_curve(candidate, number, samples) for number, candidate in enumerate(candidates))
    return Measurement(curves, folder_digest(digests), len(digests), tuple(skipped))


def _curve(candidate: Candidate, number: int, samples: dict[tuple[int, float], list[Sample]]) -> Curve:
    points = [average(quality, samples[number, quality]) for quality in candidate.qualities]
    points.sort(key=lambda point: point.bpp)
    return Curve(candidate.name, candidate.label, candidate.version, tuple(points), ours=candidate.ours)


def _silent(what: str, steps: int) -> None:
    """Report progress to nobody."""


def _pixels(picture: Picture) -> int:
    return picture.pixels.shape[0] * picture.pixels.shape[1]
