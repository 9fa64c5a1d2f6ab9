"""Streams broken on purpose, by the million.

    python -m tests.hostile.mutate --count 1000000                  the container's parser
    python -m tests.hostile.mutate --count 10000 --level codec      the decoder behind it

Each mutant must get a named error or the exact picture (``targets.py``). It follows from (seed, number)
alone, so ``--start N --count 1`` repeats number N. Three kinds of harm are looked for besides a wrong answer:
a crash (it ends this process, and faulthandler prints where), a hang (a watchdog ends the process), and an
allocation that the bytes do not justify (the address space is limited, so it raises MemoryError, which is no
named error).
"""

from __future__ import annotations

import argparse
import faulthandler
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.hostile.mutations import DEFAULT_SEED, mutants
from tests.hostile.targets import CodecTarget, ContainerTarget, ViolationError

WATCHDOG_SECONDS = 120  # for 1000 mutants at container level, for one at codec level
HEADROOM_BYTES = 2**30  # address space beyond what is mapped once everything is loaded

TARGETS: dict[str, Callable[[], ContainerTarget | CodecTarget]] = {
    "container": ContainerTarget,
    "codec": CodecTarget,
}


def run(
    target: ContainerTarget | CodecTarget, start: int, count: int, seed: int = DEFAULT_SEED
) -> Counter[tuple[str, str]]:
    """Check mutants and count them by (kind, outcome).

    Raises:
        ViolationError: with the mutant's number and bytes.
    """
    outcomes: Counter[tuple[str, str]] = Counter()
    for number, mutant in enumerate(mutants(target.seeds, start, count, seed), start):
        try:
            outcomes[mutant.kind, target.check(mutant)] += 1
        except (Exception, MemoryError) as err:
            name = "container" if isinstance(target, ContainerTarget) else "codec"
            raise ViolationError(
                f"mutant {number} ({mutant.kind}, CRC {'fixed' if mutant.checksum_fixed else 'left'}): "
                f"{type(err).__name__}: {err}\nrepeat: python -m tests.hostile.mutate --level {name} "
                f"--seed {seed} --start {number} --count 1\nbytes: {mutant.data[:512].hex()}"
            ) from err
    return outcomes


def limit_address_space(headroom: int) -> None:
    """Let this process map ``headroom`` bytes more than it has now."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + headroom
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.hostile.mutate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--count", type=int, default=100_000, help="mutants (default: %(default)s)")
    parser.add_argument("--start", type=int, default=0, help="number of the first one (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED, help="of all of them (default: %(default)s)")
    parser.add_argument("--level", choices=sorted(TARGETS), default="container", help="what they are fed to")
    args = parser.parse_args(argv)

    faulthandler.enable()
    target = TARGETS[args.level]()
    limit_address_space(HEADROOM_BYTES)
    outcomes: Counter[tuple[str, str]] = Counter()
    begun = shown = time.monotonic()
    end = args.start + args.count
    for start in range(args.start, end, target.batch):
        faulthandler.dump_traceback_later(WATCHDOG_SECONDS, exit=True)
        try:
            outcomes += run(target, start, min(target.batch, end - start), args.seed)
        except ViolationError as violation:
            print(f"VIOLATION: {violation}", file=sys.stderr)
            return 1
        if time.monotonic() - shown > 5:
            shown = time.monotonic()
            print(f"... before {start + target.batch}: all well", file=sys.stderr, flush=True)
    faulthandler.cancel_dump_traceback_later()
    for (kind, outcome), times in sorted(outcomes.items()):
        print(f"{kind:12}  {outcome:36}  {times:9}")
    seconds = time.monotonic() - begun
    print(f"{outcomes.total()} mutants, no violation, {outcomes.total() / seconds:.0f} a second")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
