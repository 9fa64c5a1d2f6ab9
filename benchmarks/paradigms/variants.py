"""The variants by name, so that a comparison can be asked for in one line."""

from __future__ import annotations

from typing import NamedTuple

from benchmarks.paradigms.copies import OwnDecoder, OwnPair
from benchmarks.paradigms.experts import GatedExperts
from benchmarks.paradigms.low_rank import LowRankUpdate
from benchmarks.paradigms.paradigm import Paradigm
from benchmarks.paradigms.side_path import SidePath
from manypath.config import SIDE_WIDTHS
from manypath.errors import ConfigError
from manypath_lab.training import sides
from manypath_lab.training.data import PictureSet
from manypath_lab.training.recipe import SideRecipe

MAIN = "main"
COPIES = ("own-decoder", "own-pair")
DEFAULT = (
    "main,side-adapter,side-bottleneck,side-inverted,lora-4,lora-16,lora-64,experts-2-adapter,own-decoder,own-pair"
)
GRAMMAR = (
    f"{MAIN}, side-SHAPE, lora-RANK, experts-COUNT-SHAPE, own-decoder or own-pair, with SHAPE one of "
    f"{', '.join(SIDE_WIDTHS)}; @RATE after a name replaces its step size"
)
COPY_RATE = 0.1  # of the recipe's step size: copies learn from where training had brought them, not from zero


class Parts(NamedTuple):
    """What a variant's name says: the kind, its number (1 if it has none), its shape (or nothing)."""

    kind: str
    number: int
    shape: str


def parts_of(name: str) -> Parts:
    """Take a variant's name apart.

    Raises:
        ConfigError: there is no such variant.
    """
    kind, _, rest = name.partition("-")
    number, _, shape = rest.partition("-")
    if name in (MAIN, *COPIES):
        return Parts(name, 1, "")
    if kind == "side" and rest in SIDE_WIDTHS:
        return Parts(kind, 1, rest)
    if kind == "lora" and rest.isdecimal() and int(rest):
        return Parts(kind, int(rest), "")
    if kind == "experts" and number.isdecimal() and int(number) and shape in SIDE_WIDTHS:
        return Parts(kind, int(number), shape)
    raise ConfigError(f"no variant {name!r}; there are {GRAMMAR}")


class Variant(NamedTuple):
    """A variant as it was asked for.

    Attributes:
        name: which way, with its numbers.
        rate: Adam's step size, or None for its own.
    """

    name: str
    rate: float | None = None

    @property
    def text(self) -> str:
        """Return what ``parse`` reads."""
        return self.name if self.rate is None else f"{self.name}@{self.rate:g}"

    def step_size(self, recipe: SideRecipe) -> float:
        """Return the base step size that it learns with, 0 where nothing does."""
        if self.name == MAIN:
            return 0.0
        return self.rate or recipe.rate * (COPY_RATE if self.name in COPIES else 1.0)


def parse(text: str) -> list[Variant]:
    """Read names parted by commas.

    Raises:
        ConfigError: one of them is none, or is asked for twice.
    """
    variants = []
    for word in text.split(","):
        name, at, rate = word.strip().partition("@")
        try:
            variant = Variant(name, float(rate) if at else None)
        except ValueError as err:
            raise ConfigError(f"{word!r}: a step size is a number, as in lora-16@0.005") from err
        if variant.rate is not None and not 0 < variant.rate < 1:
            raise ConfigError(f"{word!r}: a step size lies between 0 and 1, as in lora-16@0.005")
        parts_of(name)
        if variant in variants:
            raise ConfigError(f"{word!r} is asked for twice")
        variants.append(variant)
    return variants


def build(variant: Variant, start: sides.ModelFile, pictures: PictureSet, recipe: SideRecipe) -> Paradigm:
    """Return a variant at its beginning.

    Args:
        variant: which.
        start: the trained model, without sides.
        pictures: what it will learn from.
        recipe: the task, its step sizes and the seed.

    Raises:
        ConfigError: there is no such variant.
    """
    kind, number, shape = parts_of(variant.name)
    rate = variant.step_size(recipe)
    if kind == "side":
        return SidePath(start, shape, pictures, recipe, rate)
    if kind == "lora":
        return LowRankUpdate(start, number, recipe, rate)
    if kind == "experts":
        return GatedExperts(start, number, shape, pictures, recipe, rate=rate)
    if kind == "own-decoder":
        return OwnDecoder(start, rate)
    if kind == "own-pair":
        return OwnPair(start, recipe, rate)
    return Paradigm(start)
