"""Attacks and faults on running services, as a table: ``python -m benchmarks.fire``.

It starts its own services on the loopback interface, and ends them. What is measured depends on the machine and on what
else it does; what is wanted stands beside it.
"""

from __future__ import annotations

import argparse
import pathlib
import sys
import time
from collections.abc import Sequence

from tqdm import tqdm

from benchmarks.fire import downstream, messages, work, worker  # noqa: F401  (each puts its rows into the table)
from benchmarks.fire.rows import ATTACKS, Attack, Options, Row
from manypath_lab.machine import this_machine

_EXAMPLES = """\
examples:
  python -m benchmarks.fire                          everything, about a quarter of an hour
  python -m benchmarks.fire --only messages stop     two rows
  python -m benchmarks.fire --outage-seconds 30 --output fire.md
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the table, and return 0 if everything wanted is met."""
    args = _parser().parse_args(arguments)
    options = Options(args.model, args.outage_seconds, args.load_seconds)
    chosen = [one for one in ATTACKS if not args.only or one.name in args.only]
    results: list[tuple[Attack, Row]] = []
    for one in (bar := tqdm(chosen, unit="row")):
        bar.set_description(one.name)
        try:
            row = one.measure(options)
        except Exception as err:  # noqa: BLE001  (a row that breaks is a result, and the others follow)
            row = Row(f"broke: {type(err).__name__}: {err}"[:300].replace("\n", " "), met=False)
        results.append((one, row))
        tqdm.write(f"{'met   ' if row.met else 'MISSED'}  {one.name}: {row.measured}")
    table = _table(results)
    print(f"\n{table}\n\n{this_machine()}; {time.strftime('%Y-%m-%d')}")
    if args.output:
        args.output.write_text(f"{table}\n", encoding="utf-8")
    return 0 if all(row.met for _, row in results) else 1


def _table(results: Sequence[tuple[Attack, Row]]) -> str:
    lines = ["| attack or fault | measured | wanted | met |", "|---|---|---|---|"]
    lines += [
        f"| {one.attack} | {row.measured} | {one.wanted} | {'yes' if row.met else 'NO'} |" for one, row in results
    ]
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.fire",
        description=__doc__,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = [one.name for one in ATTACKS]
    parser.add_argument("--only", nargs="+", choices=names, metavar="ROW", help=f"rows to measure: {', '.join(names)}")
    parser.add_argument("--model", default="edge", help="of encoder and decoder (default: %(default)s)")
    parser.add_argument("--outage-seconds", type=float, default=130, help="that the decoder is away (default: 130)")
    parser.add_argument("--load-seconds", type=float, default=8, help="of each measurement under load (default: 8)")
    parser.add_argument("--output", type=pathlib.Path, help="file for the table, as Markdown")
    return parser


if __name__ == "__main__":
    sys.exit(main())
