"""``manypath``: finds the subcommand that was asked for, loads only it, and turns errors into exit codes."""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from manypath_cli import streams
from manypath_cli.exits import EXPLANATION, OURS, ExitCode, UsageError, exit_code
from manypath_cli.printable import printable, printable_lines

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

_DESCRIPTION = """\
One picture, one bitstream, many paths: encode a picture once, and let each decoder choose whether it
reconstructs for a person or for a machine, from the same bytes.
"""

_EXAMPLES = """\
examples:
  manypath encode photo.jpg                          writes photo.mpa
  manypath decode photo.mpa -o again.png
  manypath encode holiday/ -o small/ --target-bpp 0.5
  manypath inspect small/*.mpa
  manypath COMMAND --help                            says more, with examples

"""

_OURS = {
    "manypath",
    "manypath_api",
    "manypath_camera",
    "manypath_cli",
    "manypath_lab",
    "manypath_pictures",
    "manypath_services",
}


class Command(NamedTuple):
    """Where a subcommand lives.

    Attributes:
        module: offers ``add_parser(subparsers)``, which sets ``func``.
        summary: one line for the list of commands.
        extra: of the package, which brings what the command needs.
    """

    module: str
    summary: str
    extra: str


COMMANDS = {
    "encode": Command("manypath_cli.encode", "pictures to bitstreams", "codec"),
    "decode": Command("manypath_cli.decode", "bitstreams to pictures, by the path you choose", "codec"),
    "inspect": Command("manypath_cli.inspect", "what bitstreams say of themselves", "codec"),
    "models": Command("manypath_cli.models", "the models that are here, their digests and shapes", "codec"),
    "serve": Command("manypath_cli.serve", "run the encoder, decoder, worker or console service", "demo"),
    "token": Command("manypath_cli.access_token", "make a token for a caller without a certificate", "demo"),
    "camera": Command("manypath_cli.camera", "frames of cameras to the encoder, kept on disk meanwhile", "camera"),
    "demo": Command("manypath_cli.demo", "one picture through all services, on this machine", "demo"),
}
LAB = {
    "train": Command("manypath_lab.training.command", "train a model from a recipe and a folder of pictures", "lab"),
    "eval": Command("manypath_lab.evaluation.commands", "measure the codec beside others, by real bytes", "lab"),
    "figure": Command("manypath_cli.lab.figure", "pictures and charts of what the codec does", "lab"),
    "profile": Command(
        "manypath_lab.profile.command", "what models cost: parameters, MACs per pixel, latency, memory", "lab"
    ),
    "classifier": Command("manypath_cli.lab.classifier", "build the worker's default classifier", "classifier"),
    "segmenter": Command("manypath_cli.lab.segmenter", "train, export and measure the worker's segmenter", "lab"),
    "detector": Command("manypath_cli.lab.detector", "export, install and measure the worker's object detector", "lab"),
}

_LAB_DESCRIPTION = """\
The laboratory: training, measuring, figures, and the networks that workers serve by default. Users of the codec need
none of it.
"""
_LAB_EXAMPLES = """\
examples:
  manypath lab train stage1 --pictures photos --output runs/stage1
  manypath lab eval compare --pictures kodak --output runs/kodak
  manypath lab COMMAND --help                        says more, with examples
"""


class _Parser(argparse.ArgumentParser):
    """A parser that says so when its help cannot be printed; the library's own is silent."""

    def _print_message(self, message: str, file: SupportsWrite[str] | None = None) -> None:
        if file is sys.stdout:
            file.write(message)
        else:
            super()._print_message(message, file)


def _formatter(prog: str) -> argparse.HelpFormatter:
    return argparse.RawDescriptionHelpFormatter(prog, max_help_position=28)


def build_parser(words: Sequence[str]) -> argparse.ArgumentParser:
    """Return the parser; only the subcommand that is asked for is imported, the others are only listed.

    Args:
        words: the subcommand, and behind ``lab`` the laboratory's; empty if none was given.

    Raises:
        ModuleNotFoundError: what the subcommand needs is not installed.
    """
    parser = _Parser(
        prog="manypath",
        description=_DESCRIPTION,
        epilog=_EXAMPLES + EXPLANATION,
        formatter_class=_formatter,
    )
    version = importlib.metadata.version("manypath")
    parser.add_argument("--version", action="version", version=f"manypath {version}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, title="commands")
    _add_commands(subparsers, COMMANDS, words[:1])
    lab = subparsers.add_parser(
        "lab",
        help="for researchers: train, eval, figure, profile, and the workers' networks",
        description=_LAB_DESCRIPTION,
        epilog=_LAB_EXAMPLES,
        formatter_class=_formatter,
    )
    kinds = lab.add_subparsers(dest="lab_command", metavar="COMMAND", required=True, title="commands")
    _add_commands(kinds, LAB, words[1:2] if words[:1] == ["lab"] else [])
    return parser


def _add_commands(
    subparsers: argparse._SubParsersAction[_Parser],
    commands: Mapping[str, Command],
    requested: Sequence[str],
) -> None:
    for name, command in commands.items():
        if name in requested:
            add_parser: Callable[[object], None] = importlib.import_module(command.module).add_parser
            add_parser(subparsers)
        else:
            subparsers.add_parser(name, help=command.summary)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: arguments without the program's name; those of the process by default.

    Returns:
        An ``ExitCode``. Anything that is not one of our errors leaves as a traceback, with exit code 1.
    """
    streams.prepare()
    arguments = sys.argv[1:] if argv is None else list(argv)
    words = [argument for argument in arguments if not argument.startswith("-")][:2]
    try:
        try:
            _check_filled(arguments)
            args = build_parser(words).parse_args(arguments)
            func: Callable[[argparse.Namespace], int | None] = args.func
            code = int(func(args) or ExitCode.OK)
            sys.stdout.flush()
            return code
        except SystemExit:  # help was printed, perhaps into a buffer
            sys.stdout.flush()
            raise
        except ModuleNotFoundError as err:
            raise _not_installed(words, err) from err
    except OURS as err:
        print(f"manypath: error: {printable_lines(str(err))}", file=sys.stderr)
        return exit_code(err)
    except KeyboardInterrupt:
        print("manypath: interrupted", file=sys.stderr)
        return ExitCode.INTERRUPTED
    except BrokenPipeError:  # whoever read our output has left
        streams.abandon_stdout()
        return ExitCode.UNEXPECTED
    except OSError as err:
        if err.filename is not None:
            print(f"manypath: error: {printable(str(err.filename))}: {err.strerror}", file=sys.stderr)
            return ExitCode.REQUEST
        if not streams.is_full(err):
            raise
        streams.abandon_stdout()
        print(f"manypath: error: cannot write the output: {err.strerror}", file=sys.stderr)
        return ExitCode.REQUEST


def _check_filled(arguments: Sequence[str]) -> None:
    """Refuse empty arguments: as a path, nothing would be the current folder.

    Raises:
        UsageError: there is one.
    """
    for number, argument in enumerate(arguments, 1):
        if not argument or (argument.startswith("--") and argument.endswith("=")):
            what = f"{argument} has no value" if argument else f"argument {number} is empty"
            raise UsageError(f"{what}; is a variable not set? The current folder is .")


def _not_installed(words: Sequence[str], err: ModuleNotFoundError) -> Exception:
    """Return the error that says what to install, or ``err`` itself where a module of our own is missing."""
    package = (err.name or "").partition(".")[0]
    commands = {**COMMANDS, **{f"lab {name}": command for name, command in LAB.items()}}
    asked = " ".join(words) if words[:1] == ["lab"] else " ".join(words[:1])
    if asked not in commands or package in _OURS:
        return err
    extra = commands[asked].extra
    return UsageError(
        f"'manypath {asked}' needs {package!r}, which is not installed; "
        f"install the extra {extra!r}: pip install '.[{extra}]' in a checkout of manypath"
    )
