"""What is fed with broken streams, and what must hold of each: a named error, or the exact picture."""

from __future__ import annotations

import random

from manypath.bitstream import Bitstream, pack, parse
from manypath.errors import (
    CorruptError,
    DesyncError,
    FormatError,
    LimitError,
    ModelMismatchError,
    TruncatedError,
)
from manypath.geometry import strip_heights
from tests.hostile.mutations import Mutant

MAX_PIXELS = 2**24  # of the parser under test: its largest seed just fits, so that LimitError can happen
DECODED_PIXELS = 2**15  # codec level: larger pictures are honest work, not harm, and would take all the time
CONTAINER_ERRORS = (FormatError, TruncatedError, LimitError, CorruptError)
CODEC_ERRORS = (*CONTAINER_ERRORS, ModelMismatchError, DesyncError)


class ViolationError(Exception):
    """A mutant got what it must not get."""


class ContainerTarget:
    """The parser: a named error, or a stream that packs into the same bytes again."""

    batch = 1000  # mutants per arming of the watchdog

    def __init__(self) -> None:
        rng = random.Random(7)
        shapes = (
            (1, 1, 2, 4),
            (100, 50, 5, 300),
            (768, 512, 12, 2000),
            (4096, 4096, 16, 40),
            (2049, 2048, 7, 300),
        )
        self.seeds = [
            pack(
                Bitstream(
                    width,
                    height,
                    rng.randrange(225),
                    rng.randbytes(4),
                    rng.getrandbits(32),
                    tuple(
                        (
                            *(rng.randbytes(4 * rng.randrange(longest // 4)) for _ in range(chunks - 1)),
                            rng.randbytes(rng.randrange(longest)),
                        )
                        for _ in strip_heights(width, height)
                    ),
                )
            )
            for width, height, chunks, longest in shapes
        ]
        self._originals = frozenset(self.seeds)

    def check(self, mutant: Mutant) -> str:
        """Return the outcome's name."""
        whole = self._outcome(mutant, allow_truncated=False)
        cut = self._outcome(mutant, allow_truncated=True)
        if whole not in (cut, "TruncatedError"):
            raise ViolationError(f"{whole} as a whole stream, but {cut} as a cut one")
        return whole

    def _outcome(self, mutant: Mutant, *, allow_truncated: bool) -> str:
        try:
            stream = parse(mutant.data, max_pixels=MAX_PIXELS, allow_truncated=allow_truncated)
        except CONTAINER_ERRORS as err:
            return type(err).__name__
        if stream.missing:
            return "accepted as cut"
        if pack(stream) != mutant.data:
            raise ViolationError("accepted, but packs into other bytes")
        if not mutant.checksum_fixed and mutant.data not in self._originals:
            raise ViolationError("accepted with a checksum that cannot be right")
        return "accepted"


class CodecTarget:
    """The decoder: a named error, the exact picture, or where size or quality were forged another."""

    batch = 1

    def __init__(self) -> None:
        import numpy as np

        from manypath.codec import Codec

        self._codec = Codec.load("tiny-random")
        rng = np.random.default_rng(7)
        self.seeds = []
        for width, height, quality in ((40, 24, 1.0), (24, 40, 4.5), (70, 64, 8.0), (1, 1, 5.0)):
            ramp = np.linspace(0, 255, width)[None, :, None]
            noise = rng.normal(0, 25, (height, width, 3))
            picture = np.clip(ramp + noise, 0, 255).astype(np.uint8)
            self.seeds.append(self._codec.encode(picture, quality=quality))
        self._originals = frozenset(self.seeds)
        self._pictures = {
            (parse(data)[:3], parse(data).symbols_checksum): self._codec.decode(data) for data in self.seeds
        }

    def check(self, mutant: Mutant) -> str:
        """Return the outcome's name."""
        try:
            stream = parse(mutant.data, max_pixels=DECODED_PIXELS)
            picture = self._codec.decode(mutant.data)
        except TruncatedError:
            return self._decode_cut(mutant.data)
        except CODEC_ERRORS as err:
            return type(err).__name__
        if picture.shape != (stream.height, stream.width, 3) or picture.dtype != "uint8":
            raise ViolationError(f"decoded to {picture.shape}, {picture.dtype}")
        if not mutant.checksum_fixed and mutant.data not in self._originals:
            raise ViolationError("decoded with a checksum that cannot be right")
        original = self._pictures.get((stream[:3], stream.symbols_checksum))
        if original is None:  # the codec has compared the symbols with the header; only size or quality were forged
            return "forged size or quality"
        if (picture != original).any():
            raise ViolationError("decoded to a picture that is not the exact one")
        return "exact picture"

    def _decode_cut(self, data: bytes) -> str:
        """No checksum can tell of a cut stream: a named error, or a picture of the size it says."""
        try:
            stream = parse(data, max_pixels=DECODED_PIXELS, allow_truncated=True)
            picture = self._codec.decode(data, allow_truncated=True)
        except CODEC_ERRORS as err:
            return f"TruncatedError, {type(err).__name__} as cut"
        if picture.shape != (stream.height, stream.width, 3):
            raise ViolationError(f"decoded as a cut stream to {picture.shape}")
        return "TruncatedError, decoded as cut"
