"""What a page asks for: picture, rate, path and share, read from a query and bounded before anything is done."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlencode

from manypath_api.v1 import codec_pb2 as pb
from manypath_services.console.problems import ProblemError

PERCEPTUAL = "perceptual"
RATE_KINDS = ("quality", "bytes", "bpp")
LEFTS = ("original", "jpeg", "webp", "avif")
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_PICTURE = re.compile(r"[A-Za-z0-9_-]{1,64}")
_LAYER = re.compile(r"|mask|boxes|bits|score-\d{1,2}")


class Rate(NamedTuple):
    """How many bits to spend.

    Attributes:
        kind: "quality", "bytes" or "bpp".
        value: in that unit.
    """

    kind: str
    value: float

    def message(self) -> pb.Rate:
        """Return it as the encoder wants it."""
        if self.kind == "quality":
            return pb.Rate(quality=self.value)
        if self.kind == "bytes":
            return pb.Rate(max_bytes=int(self.value))
        return pb.Rate(target_bpp=self.value)


class Choices(NamedTuple):
    """Everything that the controls of the page say.

    Attributes:
        picture: id of a kept picture, or a shipped photo's; empty for none.
        rate: how many bits.
        path: name of the path of the picture that is shown.
        share: of tokens on the side path, 0..1.
        left: what is left of the divider: "original", or a baseline of as many bytes.
        layer: over the picture: "", "mask", "boxes", "bits" or "score-N".
    """

    picture: str
    rate: Rate
    path: str
    share: float
    left: str
    layer: str

    @property
    def query(self) -> str:
        """The choices as a query: the permalink's."""
        return urlencode(
            {
                "picture": self.picture,
                "rate": self.rate.kind,
                self.rate.kind: number(self.rate.value),
                "path": self.path,
                "share": number(self.share),
                **({"left": self.left} if self.left != LEFTS[0] else {}),
                **({"layer": self.layer} if self.layer else {}),
            }
        )


def read_choices(query: Mapping[str, str]) -> Choices:
    """Read a page's query; what it leaves out has a default.

    Raises:
        ProblemError: a value is none, or out of bounds.
    """
    picture = query.get("picture", "")
    if picture and _PICTURE.fullmatch(picture) is None:
        raise ProblemError("The address names no picture.", cure="Choose a photo, or drop one onto the page.")
    kind = _one_of(query, "rate", RATE_KINDS)
    bounds = {"quality": (1.0, 8.0, 4.0), "bytes": (1.0, 2.0**31 - 1, 30_000.0), "bpp": (0.001, 24.0, 0.5)}
    least, most, default = bounds[kind]
    value = _number(query, kind, least, most, default)
    path = query.get("path", PERCEPTUAL)
    if _NAME.fullmatch(path) is None:
        raise ProblemError("The address names no path.", cure="Choose one of the paths on the page.")
    layer = query.get("layer", "")
    if _LAYER.fullmatch(layer) is None:
        raise ProblemError("The address names no layer.", cure="Choose one of the layers on the page.")
    return Choices(
        picture=picture,
        rate=Rate(kind, math.floor(value) if kind == "bytes" else value),
        path=path,
        share=_number(query, "share", 0.0, 1.0, 1.0),
        left=_one_of(query, "left", LEFTS),
        layer=layer,
    )


def number(value: float) -> str:
    """Return a number as short as it can be."""
    return f"{value:.6f}".rstrip("0").rstrip(".")


def _one_of(query: Mapping[str, str], name: str, accepted: tuple[str, ...]) -> str:
    value = query.get(name, accepted[0])
    if value not in accepted:
        raise ProblemError(f"{name} must be one of {', '.join(accepted)}, got “{value[:40]}”.")
    return value


def _number(query: Mapping[str, str], name: str, least: float, most: float, default: float) -> float:
    text = query.get(name, "")
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not least <= value <= most:  # not so for nan either
        raise ProblemError(f"{name} must be a number in {number(least)}..{number(most)}, got “{text[:40]}”.")
    return value
