"""``manypath inspect``: what bitstreams say of themselves, without any network."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import _SubParsersAction

    from manypath.bitstream import StreamInfo

_DESCRIPTION = """\
Show what bitstreams say of themselves: size, quality, rate, model, and how much of a cut one is left. A whole
stream's checksum is checked; no model is loaded.
"""

_EXAMPLES = """\
examples:
  manypath inspect photo.mpa
  manypath inspect small/ --json | jq '.[] | select(.bpp > 0.5) | .file'
"""

_COLUMNS = ("file", "size", "quality", "bytes", "bpp", "strips", "slices", "model")


def add_parser(subparsers: _SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the subcommand."""
    parser = subparsers.add_parser(
        "inspect",
        help="what bitstreams say of themselves",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("inputs", nargs="+", metavar="BITSTREAM", help="files, folders or globs; - is stdin")
    parser.add_argument("--json", action="store_true", help="one JSON array instead of a table")
    parser.set_defaults(func=inspect)


def inspect(args: argparse.Namespace) -> int:
    """Show what the arguments name.

    Raises:
        ManypathError: the only file failed; of several, each that fails is named on stderr.
    """
    from manypath import bitstream
    from manypath_cli.batch import PER_FILE, say_failures
    from manypath_cli.encode import SUFFIX
    from manypath_cli.exits import ExitCode, FileError
    from manypath_cli.jobs import STDIO, Inputs, Job, find_inputs
    from manypath_cli.printable import printable

    found = Inputs([], [], Counter()) if args.inputs == [STDIO] else find_inputs(args.inputs, (SUFFIX,))
    if found.failures and not found.files:
        raise FileError("; ".join(found.failures))
    jobs = [Job(file, None) for file, _ in found.files] or [Job(None, None)]
    failed = len(found.failures)
    say_failures(found.failures)
    rows: list[tuple[str, StreamInfo]] = []
    for job in jobs:
        try:
            rows.append((str(job.source or job.name), bitstream.inspect(job.read())))
        except PER_FILE as err:
            if len(jobs) == 1 and not failed:
                raise type(err)(f"{job.name}: {err}") from err
            failed += 1
            print(f"manypath: error: {job.name}: {err}", file=sys.stderr)
    if args.json:
        print(json.dumps([{"file": name, **info._asdict()} for name, info in rows], indent=2))
    else:
        print(_table([_COLUMNS, *(_row(printable(name), info) for name, info in rows)]))
    return ExitCode.PARTIAL if failed else ExitCode.OK


def _row(name: str, info: StreamInfo) -> tuple[str, ...]:
    return (
        name,
        f"{info.width}x{info.height}",
        f"{info.quality:g}",
        str(info.bytes),
        f"{info.bpp:.4f}",
        str(info.strips),
        f"{info.slices_present}/{info.slices}",
        info.model_digest,
    )


def _table(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(line.rstrip() for line in lines)
