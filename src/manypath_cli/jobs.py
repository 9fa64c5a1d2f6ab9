"""Which file becomes which: inputs (files, pipes, folders, globs, ``-``) and ``-o`` turned into pairs."""

from __future__ import annotations

import glob
import os
import secrets
import stat
import sys
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

from manypath_cli import streams
from manypath_cli.exits import FileError, UsageError
from manypath_cli.printable import printable
from manypath_pictures.folder import files_below, files_matching

STDIO = "-"
MOST_BYTES = 2**30
"""Of one file: the samples of the largest picture that is coded take 0.8 GB."""

_PIECE_BYTES = 2**22
_STREAM_FOLDERS = ("/dev/", "/proc/")  # beside what lies there nothing can be written


class Job(NamedTuple):
    """One file to turn into another.

    Attributes:
        source: to read; ``None`` is stdin.
        target: to write; ``None`` is stdout.
    """

    source: Path | None
    target: Path | None

    @property
    def name(self) -> str:
        """How messages call it."""
        return printable(self.source) if self.source else "stdin"

    def read(self) -> bytes:
        """Return the source's bytes.

        Raises:
            FileError: it cannot be read.
        """
        try:
            if self.source is not None:
                with self.source.open("rb") as file:
                    return _read(file)
            if sys.stdin is None:
                raise FileError("cannot read: it is closed")
            return _read(sys.stdin.buffer)
        except OSError as err:
            raise FileError(f"cannot read: {err.strerror or err}") from err

    def write(self, data: bytes) -> None:
        """Write the target: a file whole or not at all, a pipe or device as it comes.

        Raises:
            FileError: it cannot be written.
        """
        if self.target is None:
            _write_stdout(data)
            return
        try:
            if _kind(self.target) == "stream":
                self.target.write_bytes(data)
                return
            self.target.parent.mkdir(parents=True, exist_ok=True)
            # no part of the target's own name: together they could be longer than a name may be
            part = self.target.with_name(f".{os.getpid()}-{secrets.token_hex(4)}.part")
            try:
                part.write_bytes(data)
                part.replace(self.target)
            finally:
                part.unlink(missing_ok=True)
        except BrokenPipeError:
            raise
        except OSError as err:
            raise FileError(f"cannot write {printable(self.target)}: {err.strerror or err}") from err


class Inputs(NamedTuple):
    """What the inputs stand for.

    Attributes:
        files: each with its path relative to what was asked for, so that folders keep their shape.
        failures: what could not be looked into, as lines.
        left_out: number of files in folders that were passed over, by suffix.
    """

    files: list[tuple[Path, Path]]
    failures: list[str]
    left_out: Counter[str]


class Plan(NamedTuple):
    """What is to be done.

    Attributes:
        jobs: to do.
        failures: of the inputs that could not be looked into, as lines.
        left_out: number of files in folders that were passed over, by suffix.
        skipped: number of files whose target is there already.
    """

    jobs: list[Job]
    failures: Sequence[str] = ()
    left_out: Counter[str] = Counter()  # noqa: RUF012  (never changed)
    skipped: int = 0


def find_inputs(inputs: Sequence[str], suffixes: Collection[str]) -> Inputs:
    """Find the input files.

    A folder stands for all files below it with one of the suffixes, but for hidden ones; a glob (``**`` crosses
    folders) for everything but folders that it matches, whatever its suffix.

    Raises:
        FileError: an input does not exist, a glob matches nothing, or a folder holds nothing that fits.
    """
    inside = Inputs([], [], Counter())
    files: dict[Path, Path] = {}
    for text in inputs:
        path = Path(text)
        kind = _kind(path)
        if kind == "folder":
            found = files_below(path, suffixes)
            if not found.files and not found.failures:
                raise FileError(f"{printable(text)} holds no {', '.join(sorted(suffixes))} file")
            files.update((file, file.relative_to(path)) for file in found.files)
        elif kind or not glob.has_magic(text):
            if not kind:
                raise FileError(f"{printable(text)} does not exist")
            files[path] = Path(path.name)
            continue
        else:
            found = files_matching(text)
            if not found.files and not found.failures:
                raise FileError(f"{printable(text)} matches no file")
            files.update((file, Path(file.name)) for file in found.files)
        inside.failures.extend(f"{printable(folder)}: cannot be read: {reason}" for folder, reason in found.failures)
        inside.left_out.update(found.left_out)
    return inside._replace(files=list(files.items()))


def plan(
    inputs: Sequence[str],
    output: str | None,
    *,
    reads: Collection[str],
    writes: str,
    force: bool = False,
    skip_existing: bool = False,
) -> Plan:
    """Pair each input with its output.

    Args:
        inputs: files, pipes, folders, globs; or ``-`` alone.
        output: a file if there is one input that is no folder, else a folder; ``-`` for stdout; ``None``:
            beside each input, or stdout for stdin and for what lies in /dev.
        reads: suffixes to look for in folders, and to replace in names.
        writes: suffix of the outputs.
        force: whether files may be overwritten.
        skip_existing: whether inputs are left alone whose output is there.

    Raises:
        UsageError: inputs and output do not fit each other, or a file would be overwritten.
        FileError: an input does not exist, or none can be read.
    """
    if STDIO in inputs:
        if len(inputs) > 1:
            raise UsageError("'-' (stdin) cannot be mixed with other inputs")
        found = Inputs([], [], Counter())
        jobs = [Job(None, None if output in (None, STDIO) else _file(str(output), writes))]
    else:
        found = find_inputs(inputs, reads)
        if not found.files:
            raise FileError("; ".join(found.failures))
        jobs = _pairs(inputs, found.files, output, reads, writes)
    kept = _check_targets(jobs, force=force, skip_existing=skip_existing)
    return Plan(kept, found.failures, found.left_out, len(jobs) - len(kept))


def _pairs(
    inputs: Sequence[str], files: list[tuple[Path, Path]], output: str | None, reads: Collection[str], writes: str
) -> list[Job]:
    first = files[0][0]
    if output == STDIO:
        if len(files) > 1:
            raise UsageError(f"only one file can go to stdout, got {len(files)}")
        return [Job(first, None)]
    if output is None:
        streams = [file for file, _ in files if str(file).startswith(_STREAM_FOLDERS)]
        if streams and len(files) > 1:
            raise UsageError(f"beside {streams[0]} nothing can be written; give -o FOLDER")
        targets = _renamed([file for file, _ in files], reads, writes)
        return (
            [Job(first, None)]
            if streams
            else [Job(file, target) for (file, _), target in zip(files, targets, strict=True)]
        )
    kind = _kind(Path(output))
    if (
        len(inputs) == 1
        and _kind(Path(inputs[0])) in ("file", "stream")
        and not output.endswith(os.sep)
        and kind != "folder"
    ):
        return [Job(first, _file(output, writes))]
    if kind in ("file", "stream"):
        raise UsageError(f"-o must name a folder for {len(files)} inputs, but {printable(output)} is a file")
    targets = _renamed([Path(output) / relative for _, relative in files], reads, writes)
    return [Job(file, target) for (file, _), target in zip(files, targets, strict=True)]


def _renamed(names: Sequence[Path], reads: Collection[str], writes: str) -> list[Path]:
    """Return the outputs' names: a known suffix is replaced, where that would make two names one it is kept."""
    whole = {number for number, name in enumerate(names) if name.suffix.lower() not in reads}
    while True:
        targets = [
            name.with_name(name.name + writes) if number in whole else name.with_suffix(writes)
            for number, name in enumerate(names)
        ]
        times = Counter(targets)
        clashing = {number for number, target in enumerate(targets) if times[target] > 1} - whole
        if not clashing:
            return targets
        whole |= clashing


def _kind(path: Path) -> str:
    """Return "folder", "file", "stream" (a pipe, a device, a socket), or "" where there is nothing.

    Raises:
        FileError: that cannot be found out.
    """
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except (OSError, ValueError) as err:
        reason = err.strerror if isinstance(err, OSError) else str(err)
        raise FileError(f"{printable(path)}: {reason}") from err
    return "folder" if stat.S_ISDIR(mode) else "file" if stat.S_ISREG(mode) else "stream"


def _file(output: str, suffix: str) -> Path:
    path = Path(output)
    if _kind(path) != "stream" and path.suffix.lower() != suffix:
        raise UsageError(f"-o must end in {suffix}, or be a folder with a / at its end; got {printable(output)}")
    return path


def _check_targets(jobs: Sequence[Job], *, force: bool, skip_existing: bool) -> list[Job]:
    taken: dict[Path, Job] = {}
    for job in jobs:
        if job.target is None:
            if sys.stdout.isatty():
                raise UsageError("refusing to write binary data to a terminal; redirect it or give -o FILE")
            continue
        if job.target in taken:
            raise UsageError(
                f"{taken[job.target].name} and {job.name} would both become {printable(job.target)}; "
                "give the folder that holds both, which keeps its shape, or do one after the other"
            )
        taken[job.target] = job
    there = {target for target in taken if _kind(target) in ("file", "folder")}
    if there and not force and not skip_existing:
        more = f" (and {len(there) - 1} more)" if len(there) > 1 else ""
        first = next(target for target in taken if target in there)
        raise UsageError(f"{printable(first)}{more} exists; give --force to overwrite or --skip-existing to go on")
    return [job for job in jobs if job.target not in there] if skip_existing else list(jobs)


def _read(file: BinaryIO) -> bytes:
    """Read a file to its end, if that comes: a device may have none.

    Raises:
        FileError: there is more than any picture takes.
    """
    pieces: list[bytes] = []
    left = MOST_BYTES
    while piece := file.read(min(_PIECE_BYTES, left + 1)):
        pieces.append(piece)
        left -= len(piece)
        if left < 0:
            raise FileError(f"cannot read: it has more than {MOST_BYTES} bytes")
    return b"".join(pieces)


def _write_stdout(data: bytes) -> None:
    buffer = getattr(sys.stdout, "buffer", None)
    if buffer is None:
        raise FileError("cannot write to stdout: it is closed")
    try:
        buffer.write(data)
        buffer.flush()
    except BrokenPipeError:
        raise
    except OSError as err:
        streams.abandon_stdout()
        raise FileError(f"cannot write to stdout: {err.strerror or err}") from err
