"""Working through many files: one may fail without its neighbours, and a summary closes it."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable, Sequence
from typing import NamedTuple

from tqdm import tqdm

from manypath.errors import BitstreamError, BudgetError, ImageError
from manypath_cli.exits import OURS, ExitCode, FileError, exit_code
from manypath_cli.jobs import Inputs, Job, Plan
from manypath_cli.printable import printable, printable_lines
from manypath_pictures.errors import PictureError

PER_FILE = (FileError, ImageError, BudgetError, BitstreamError, PictureError)
"""What one file may do wrong on its own; any other error of ours would meet every file and ends the command."""


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


def run_batch(plan: Plan, convert: Callable[[bytes], Output], *, quiet: bool, show_traceback: bool = False) -> int:
    """Convert every job's bytes, and return the exit code.

    A progress bar is shown for more than one file, on stderr, if that is a terminal. A file that fails is named on
    stderr and the others go on; so it is with an error that nobody expected.

    Args:
        plan: what to read and write.
        convert: source bytes -> output.
        quiet: no bar and no summary; errors are shown all the same.
        show_traceback: of unexpected errors.

    Raises:
        ManypathError: the only file failed, or an error that would meet every file.
        PictureError: the only file failed.
    """
    jobs = plan.jobs
    alone = len(jobs) == 1 and not plan.failures
    hidden = True if quiet or len(jobs) == 1 else None  # None: only on a terminal
    total = Total()
    failed = [ExitCode.REQUEST] * len(plan.failures)
    say_failures(plan.failures)
    started = time.perf_counter()
    with tqdm(jobs, unit="picture", disable=hidden, file=sys.stderr, dynamic_ncols=True) as bar:
        for job in bar:
            try:
                data = job.read()
                output = convert(data)
                job.write(output.data)
            except PER_FILE as err:
                if alone:
                    raise type(err)(f"{job.name}: {err}") from err
                failed.append(exit_code(err))
                tqdm.write(f"manypath: error: {job.name}: {err}", file=sys.stderr)
            except (*OURS, BrokenPipeError):
                raise
            except Exception as err:  # noqa: BLE001  (a fault of ours, or of a library; the next file may be sound)
                failed.append(ExitCode.UNEXPECTED)
                tqdm.write(_unexpected(job, err, show_traceback=show_traceback), file=sys.stderr)
            else:
                total = total.plus(len(data), output)
    seconds = time.perf_counter() - started
    if not quiet:
        _say(total, plan, seconds)
    if failed:
        if not alone:
            print(f"manypath: error: {len(failed)} of {len(jobs) + len(plan.failures)} files failed", file=sys.stderr)
        return failed[0] if not total.pictures and len(set(failed)) == 1 else ExitCode.PARTIAL
    return ExitCode.OK


def say_failures(failures: Sequence[str]) -> None:
    """Name on stderr what could not be looked into."""
    for failure in failures:
        print(f"manypath: error: {failure}", file=sys.stderr)


def say_left_out(found: Inputs | Plan) -> None:
    """Tell on stderr how many files of folders were passed over, and of which kinds."""
    if found.left_out:
        count = found.left_out.total()
        kinds = ", ".join(f"{times} {printable(kind)}" for kind, times in found.left_out.most_common(6))
        print(f"manypath: note: {count} other file{'s' * (count > 1)} left out: {kinds}", file=sys.stderr)


def _say(total: Total, plan: Plan, seconds: float) -> None:
    if total.pictures:
        print(_summary(total, seconds), file=sys.stderr)
    if plan.skipped:
        print(f"{plan.skipped} left alone: their output is there", file=sys.stderr)
    say_left_out(plan)


def _unexpected(job: Job, error: Exception, *, show_traceback: bool) -> str:
    line = f"manypath: error: {job.name}: unexpected {type(error).__name__}: {printable_lines(str(error))}"
    if show_traceback:
        return "".join(traceback.format_exception(error)) + line
    return line.partition("\n")[0] + "; --traceback shows where"


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
