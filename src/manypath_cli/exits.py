"""What a command's exit code means, and which error leads to which."""

from __future__ import annotations

import enum

from manypath.errors import (
    BitstreamError,
    CheckpointError,
    ConfigError,
    ManypathError,
    ModelMismatchError,
    RequestError,
)
from manypath_pictures.errors import PictureError


class ExitCode(enum.IntEnum):
    """Exit codes of every subcommand; the help of ``manypath`` lists them."""

    OK = 0
    UNEXPECTED = 1
    USAGE = 2
    REQUEST = 3
    BITSTREAM = 4
    MODEL = 5
    PARTIAL = 6
    INTERRUPTED = 130


class UsageError(ManypathError):
    """The command line contradicts itself, or asks for a part that is not installed."""


class FileError(ManypathError):
    """A file cannot be read or written."""


OURS = (ManypathError, PictureError)
"""The roots of what is raised on purpose: a line for the user, never a traceback."""

_BY_ERROR: tuple[tuple[type[Exception], ExitCode], ...] = (
    (UsageError, ExitCode.USAGE),
    (FileError, ExitCode.REQUEST),
    (PictureError, ExitCode.REQUEST),
    (RequestError, ExitCode.REQUEST),
    (ModelMismatchError, ExitCode.MODEL),  # a BitstreamError, but its cure is another model
    (BitstreamError, ExitCode.BITSTREAM),
    (CheckpointError, ExitCode.MODEL),
    (ConfigError, ExitCode.MODEL),
)

EXPLANATION = """\
exit codes:
  0    everything was done
  1    something unexpected; its traceback says what (encode and decode: with --traceback)
  2    the command line is wrong, or needs a part of manypath that is not installed
  3    a file cannot be read or written, is no picture, or the request cannot be met
  4    the bytes are not a sound bitstream
  5    trouble with a model: missing, damaged, or not the one that wrote the stream
  6    some files of a batch failed, each named on stderr; the others were done
  130  interrupted
"""


def exit_code(error: Exception) -> ExitCode:
    """Return the exit code that an error leads to."""
    return next((code for kind, code in _BY_ERROR if isinstance(error, kind)), ExitCode.UNEXPECTED)
