"""What the commands of the worker's default models have in common: ``install`` and ``export``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from manypath_cli.exits import FileError, UsageError

if TYPE_CHECKING:
    from argparse import ArgumentParser, _SubParsersAction

    from manypath_lab.model_repository import ModelExport


def add_install(
    actions: _SubParsersAction[ArgumentParser], install: Callable[[argparse.Namespace], ModelExport]
) -> ArgumentParser:
    """Add ``install``, which builds a model into a repository or finds it there, and says where it is.

    Args:
        actions: of the model's command.
        install: does it, by ``output`` and ``force``.
    """
    parser = actions.add_parser("install", help="build it as ONNX into a model repository")
    parser.add_argument("--output", type=Path, metavar="DIR", help="model repository (default: the cache's)")
    parser.add_argument("--force", action="store_true", help="build again even if the cache has a whole copy")

    def run(args: argparse.Namespace) -> int:
        export = install(args)
        print(f"{'built' if export.built else 'found'} {export.folder} sha256 {export.sha256}")
        return 0

    parser.set_defaults(func=run)
    return parser


def add_model(parser: ArgumentParser) -> None:
    """Add the choice of weights other than the shipped ones."""
    parser.add_argument(
        "--model", type=Path, metavar="FILE", help="a .safetensors file of the same network (default: the shipped one)"
    )


def add_output(parser: ArgumentParser) -> None:
    """Add the file that ``write`` writes."""
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help=".onnx or .safetensors")
    parser.add_argument("-f", "--force", action="store_true", help="overwrite the file if it exists")


def check_output(args: argparse.Namespace) -> Path:
    """Return the file to write.

    Raises:
        UsageError: its name says neither kind.
        FileError: it exists.
    """
    output: Path = args.output
    if output.suffix not in (".onnx", ".safetensors"):
        raise UsageError(f"--output must end in .onnx or .safetensors, got {output.name!r}")
    if output.exists() and not args.force:
        raise FileError(f"{output} exists; --force overwrites it")
    return output


def write(output: Path, content: bytes, note: str) -> int:
    """Write a file and say so.

    Raises:
        FileError: it cannot be written.
    """
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_bytes(content)
    except OSError as err:
        raise FileError(f"cannot write {output}: {err.strerror}") from err
    print(f"{output}: {len(content):,} bytes{note}")
    return 0
