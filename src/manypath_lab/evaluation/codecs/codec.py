"""What is measured: a codec that makes one or more reconstructions out of each stream of real bytes."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import ClassVar, NamedTuple, Protocol

from manypath.errors import ManypathError
from manypath_lab.evaluation.pictures import Picture, Pixels


class BaselineError(ManypathError):
    """A baseline is unknown, not installed, or failed on a picture."""


class Line(NamedTuple):
    """What tells one curve from another.

    Attributes:
        name: short name.
        label: name for people.
        version: what wrote the bytes.
        path: our path, or empty for a baseline.
        share: of tokens on our path.
        main: whether it is our main path, which side paths are measured against.
    """

    name: str
    label: str
    version: str
    path: str = ""
    share: float = 1.0
    main: bool = False

    @property
    def ours(self) -> bool:
        """True for this project's codec."""
        return bool(self.path)


class Coded(NamedTuple):
    """One picture coded and decoded.

    Attributes:
        bytes: size of the whole file, header included.
        image: uint8 [H, W, 3], the reconstruction.
    """

    bytes: int
    image: Pixels


class Source(Protocol):
    """A codec at several settings, with a line for each way in which it decodes."""

    @property
    def lines(self) -> Sequence[Line]:
        """What it makes of each stream."""

    @property
    def qualities(self) -> Sequence[float]:
        """Settings, in rising order of rate."""

    def settings(self, quality: float) -> str | None:
        """Return all that decides the bytes beside the line's version, or None: results are not to be kept."""

    def code(self, pictures: Sequence[Picture], quality: float) -> list[list[Coded]]:
        """Return the reconstructions, [line][picture].

        Raises:
            ManypathError: the codec failed.
        """


class Baseline(abc.ABC):
    """A codec of others, with one quality knob.

    Attributes:
        name: What the command line calls it.
        label: What a plot calls it.
        qualities: Settings to measure, in rising order of rate: about 25 to 38 dB on photos, so that curves overlap.
    """

    name: ClassVar[str]
    label: ClassVar[str]
    qualities: ClassVar[tuple[int, ...]]

    @property
    @abc.abstractmethod
    def version(self) -> str:
        """Library and version that write the bytes."""

    @abc.abstractmethod
    def settings(self, quality: int) -> str:
        """Return every setting that decides the bytes, as text."""

    @abc.abstractmethod
    def encode(self, pixels: Pixels, quality: int) -> bytes:
        """Return the compressed file of a uint8 [H, W, 3] RGB picture."""

    @abc.abstractmethod
    def decode(self, data: bytes) -> Pixels:
        """Return the uint8 [H, W, 3] RGB picture in ``data``."""


class BaselineSource:
    """A baseline as a source, whose results are kept.

    Args:
        baseline: the codec.
        qualities: settings; its own by default.
    """

    def __init__(self, baseline: Baseline, qualities: Sequence[int] | None = None) -> None:
        self._baseline = baseline
        self.lines = (Line(baseline.name, baseline.label, baseline.version),)
        self.qualities: Sequence[float] = qualities or baseline.qualities

    def settings(self, quality: float) -> str:
        """Return the baseline's settings."""
        return self._baseline.settings(int(quality))

    def code(self, pictures: Sequence[Picture], quality: float) -> list[list[Coded]]:
        """Code the pictures one by one.

        Raises:
            BaselineError: it failed; the message names picture and quality.
        """
        coded = []
        for picture in pictures:
            try:
                data = self._baseline.encode(picture.pixels, int(quality))
                coded.append(Coded(len(data), self._baseline.decode(data)))
            except (BaselineError, OSError, ValueError, RuntimeError) as err:
                where = f"{picture.name} at quality {quality:g}"
                raise BaselineError(f"{self._baseline.label} failed on {where}: {err}") from err
        return [coded]
