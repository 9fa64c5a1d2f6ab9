"""Picture files broken on purpose, by the million.

    python -m tests.hostile.pictures --count 1000000

Each mutant must be read to a picture of its size or end in an error of the reader's tree. Where only metadata were
changed it must be read, to the same pixels, whichever way up; where only its end was cut off it must be read to the
same pixels or refused. A mutant follows from (seed, number) alone, so ``--start N --count 1`` repeats number N. A crash
ends this process, and faulthandler prints where; a hang is ended by a watchdog; the address space is limited, so that
memory which the bytes do not justify is an error as well; warnings are errors.
"""

from __future__ import annotations

import argparse
import faulthandler
import sys
import time
import warnings
from collections import Counter
from collections.abc import Sequence

import numpy as np
from tqdm import tqdm

from manypath_pictures.errors import PictureError
from manypath_pictures.reader import Samples, read_picture, stored_size
from tests.hostile.mutate import HEADROOM_BYTES, WATCHDOG_SECONDS, limit_address_space
from tests.hostile.picture_files import DEFAULT_SEED, Mutant, mutants, seeds
from tests.hostile.targets import ViolationError

MAX_PIXELS = 2**20
BATCH = 500


class PictureTarget:
    """The reader, and what it must do with a mutant."""

    def __init__(self) -> None:
        self.seeds = seeds()
        self._pictures = [_read(seed.data) for seed in self.seeds]

    def check(self, mutant: Mutant) -> str:
        """Return what became of it.

        Raises:
            ViolationError: it is not what must be.
        """
        try:
            picture = _read(mutant.data)
        except PictureError as err:
            if mutant.sound:
                raise ViolationError(f"metadata cost a picture: {err}") from err
            return type(err).__name__
        size = stored_size(mutant.data)
        if picture.dtype != np.uint8 or picture.shape not in ((size.height, size.width, 3), (*size, 3)):
            raise ViolationError(f"{picture.dtype} {picture.shape} was read of {size}")
        if mutant.whole and not _same(picture, self._pictures[mutant.seed]):
            raise ViolationError("another picture was read")
        return "read whole" if mutant.whole else "read"


def run(target: PictureTarget, start: int, count: int, seed: int = DEFAULT_SEED) -> Counter[tuple[str, str]]:
    """Check mutants and count them by (kind, outcome).

    Raises:
        ViolationError: with the mutant's number and how to repeat it.
    """
    outcomes: Counter[tuple[str, str]] = Counter()
    for number, mutant in enumerate(mutants(target.seeds, start, count, seed), start):
        try:
            outcomes[mutant.kind, target.check(mutant)] += 1
        except (Exception, MemoryError) as err:
            raise ViolationError(
                f"mutant {number} ({mutant.kind} of {target.seeds[mutant.seed].name}): {type(err).__name__}: {err}\n"
                f"repeat: python -m tests.hostile.pictures --seed {seed} --start {number} --count 1"
            ) from err
    return outcomes


def _read(data: bytes) -> Samples:
    return read_picture(data, background="#808080", max_pixels=MAX_PIXELS)


def _same(picture: Samples, other: Samples) -> bool:
    """Return whether a picture is another one, whichever way up; to a level, which a JPEG's last bit may be worth."""
    turns = [np.rot90(picture.astype(np.int16), times) for times in range(4)]
    ways = [way for turn in turns for way in (turn, turn[:, ::-1]) if way.shape == other.shape]
    return any(np.abs(way - other).max() <= 1 for way in ways)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.hostile.pictures",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--count", type=int, default=100_000, help="mutants (default: %(default)s)")
    parser.add_argument("--start", type=int, default=0, help="number of the first one (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED, help="of all of them (default: %(default)s)")
    args = parser.parse_args(argv)

    faulthandler.enable()
    warnings.simplefilter("error")
    target = PictureTarget()
    limit_address_space(HEADROOM_BYTES)
    outcomes: Counter[tuple[str, str]] = Counter()
    begun, end = time.monotonic(), args.start + args.count
    with tqdm(total=args.count, unit="mutant", unit_scale=True, disable=None) as bar:
        for start in range(args.start, end, BATCH):
            faulthandler.dump_traceback_later(WATCHDOG_SECONDS, exit=True)
            count = min(BATCH, end - start)
            try:
                outcomes += run(target, start, count, args.seed)
            except ViolationError as violation:
                print(f"VIOLATION: {violation}", file=sys.stderr)
                return 1
            bar.update(count)
    faulthandler.cancel_dump_traceback_later()
    for (kind, outcome), times in sorted(outcomes.items()):
        print(f"{kind:10}  {outcome:22}  {times:9}")
    seconds = time.monotonic() - begun
    print(f"{outcomes.total()} mutants, no violation, {outcomes.total() / seconds:.0f} a second")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
