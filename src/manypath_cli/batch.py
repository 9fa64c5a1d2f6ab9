"""Working through many files: one may fail without its neighbours, and a summary closes it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from tqdm import tqdm

from manypath.errors import BitstreamError, BudgetError, ImageError, ManypathError
from manypath_cli.exits import ExitCode, FileError, exit_code
from manypath_cli.jobs import Job

PER_FILE = (FileError, ImageError, BudgetError, BitstreamError)
"""What one file may do wrong on its own; any other error would meet every file and ends the command."""


class Output(NamedTuple):
    """What became of one file.

    Attributes:
        data: bytes to write.
        pixels: of the picture.
        bitstream_bytes: of its bitstream, whichever end that is.
    """

    data: bytes
    pixels: int
    bitstream_bytes: int


class Total(NamedTuple):
    """What a batch came to.

    Attributes:
        pictures: that were done.
        pixels: of them.
        before: bytes read.
        after: bytes written.
        bitstream_bytes: of their bitstreams.
    """

    pictures: int = 0
    pixels: int = 0
    before: int = 0
    after: int = 0
    bitstream_bytes: int = 0

    def plus(self, read: int, output: Output) -> Total:
        """Return the total with one more picture."""
        return Total(
            self.pictures + 1,
            self.pixels + output.pixels,
            self.before + read,
            self.after + len(output.data),
            self.bitstream_bytes + output.bitstream_bytes,
        )


def run_batch(jobs: Sequence[Job], convert: Callable[[bytes], Output], *, quiet: bool) -> int:
    """Convert every job's bytes, and return the exit code.

    A progress bar is shown for more than one file, on stderr, if that is a terminal. A file that fails is
    named on stderr and the others go on.

    Args:
        jobs: what to read and write.
        convert: source bytes -> output.
        quiet: no bar and no summary; errors are shown all the same.

    Raises:
        ManypathError: the only file failed, or an error that would meet every file.
    """
    hidden = True if quiet or len(jobs) == 1 else None  # None: only on a terminal
    total = Total()
    failed: list[ManypathError] = []
    begun = time.perf_counter()
    with tqdm(jobs, unit="picture", disable=hidden, file=sys.stderr, dynamic_ncols=True) as bar:
        for job in bar:
            try:
                data = job.read()
                output = convert(data)
                job.write(output.data)
            except PER_FILE as err:
                if len(jobs) == 1:
                    raise type(err)(f"{job.name}: {err}") from err
                failed.append(err)
                tqdm.write(f"manypath: error: {job.name}: {err}", file=sys.stderr)
                continue
            total = total.plus(len(data), output)
    seconds = time.perf_counter() - begun
    if not quiet and total.pictures:
        print(_summary(total, seconds), file=sys.stderr)
    if failed:
        kinds = {exit_code(err) for err in failed}
        print(f"manypath: error: {len(failed)} of {len(jobs)} files failed", file=sys.stderr)
        return kinds.pop() if not total.pictures and len(kinds) == 1 else ExitCode.PARTIAL
    return ExitCode.OK


def _summary(total: Total, seconds: float) -> str:
    smaller = f" ({100 * total.after / total.before:.1f} %)" if total.after < total.before else ""
    return (
        f"{total.pictures} picture{'s' if total.pictures > 1 else ''}, "
        f"{_bytes(total.before)} -> {_bytes(total.after)}{smaller}, "
        f"{8 * total.bitstream_bytes / total.pixels:.3f} bpp, {total.pictures / seconds:.1f} pictures/s"
    )


def _bytes(count: int) -> str:
    """Return a number of bytes for people, in powers of 1000."""
    value, units = float(count), iter(("kB", "MB", "GB"))
    unit = "B"
    while value >= 999.95 and (larger := next(units, None)):
        value, unit = value / 1000, larger
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
