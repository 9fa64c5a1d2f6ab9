"""``manypath eval``: every measurement by its name."""

from __future__ import annotations

import argparse

from manypath_lab.evaluation import ablation_command, cross_command, rd_command, task_command, transition_command

_MODULES = (rd_command, task_command, cross_command, transition_command, ablation_command)


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``eval`` with its measurements to the command line."""
    group = subparsers.add_parser("eval", help="measure the codec: rd, cls, seg, cross, transition, ablation")
    kinds = group.add_subparsers(dest="measurement", metavar="MEASUREMENT", required=True)
    for module in _MODULES:
        module.add_parser(kinds)
