"""``manypath lab eval``: every measurement by its name."""

from __future__ import annotations

import argparse

from manypath_lab.evaluation.commands import ablation, compare, drawn, paths, transition

_MODULES = (compare, paths, transition, ablation, drawn)


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``eval`` with its measurements to the command line."""
    group = subparsers.add_parser("eval", help="measure the codec: compare, paths, transition, ablation, drawn")
    kinds = group.add_subparsers(dest="measurement", metavar="MEASUREMENT", required=True)
    for module in _MODULES:
        module.add_parser(kinds)
