"""Which file becomes which: inputs (files, folders, globs, ``-``) and ``-o`` turned into pairs."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from manypath_cli.exits import FileError, UsageError

STDIO = "-"


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
        return str(self.source) if self.source else "stdin"

    def read(self) -> bytes:
        """Return the source's bytes.

        Raises:
            FileError: it cannot be read.
        """
        if self.source is None:
            return sys.stdin.buffer.read()
        try:
            return self.source.read_bytes()
        except OSError as err:
            raise FileError(f"cannot read: {err.strerror}") from err

    def write(self, data: bytes) -> None:
        """Write the target, whole or not at all.

        Raises:
            FileError: it cannot be written.
        """
        if self.target is None:
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
            return
        part = self.target.with_name(f".{self.target.name}.{os.getpid()}.part")
        try:
            self.target.parent.mkdir(parents=True, exist_ok=True)
            try:
                part.write_bytes(data)
                part.replace(self.target)
            finally:
                part.unlink(missing_ok=True)
        except OSError as err:
            raise FileError(f"cannot write {self.target}: {err.strerror}") from err


def find_inputs(inputs: Sequence[str], suffixes: Iterable[str]) -> list[tuple[Path, Path]]:
    """Return each input file with its path relative to what was asked for, so that folders keep their shape.

    A folder stands for all files below it with one of the suffixes; a glob (``**`` crosses folders) for the
    files that it matches, whatever their suffix.

    Raises:
        FileError: an input does not exist, a glob matches nothing, or a folder holds nothing that fits.
    """
    found: dict[Path, Path] = {}
    wanted = frozenset(suffixes)
    for text in inputs:
        path = Path(text)
        if path.is_dir():
            below = sorted(p for p in path.rglob("*") if p.suffix.lower() in wanted and p.is_file())
            if not below:
                raise FileError(f"{text} holds no {', '.join(sorted(wanted))} file")
            found.update((file, file.relative_to(path)) for file in below)
        elif path.exists() or not glob.has_magic(text):
            if not path.exists():
                raise FileError(f"{text} does not exist")
            found[path] = Path(path.name)
        else:
            matches = [Path(name) for name in sorted(glob.glob(text, recursive=True))]  # noqa: PTH207
            files = [file for file in matches if file.is_file()]
            if not files:
                raise FileError(f"{text} matches no file")
            found.update((file, Path(file.name)) for file in files)
    return list(found.items())


def plan(inputs: Sequence[str], output: str | None, *, reads: Iterable[str], writes: str, force: bool) -> list[Job]:
    """Pair each input with its output.

    Args:
        inputs: files, folders, globs; or ``-`` alone.
        output: a file if there is one input that is no folder, else a folder; ``-`` for stdout; ``None``:
            beside each input, or stdout for stdin.
        reads: suffixes to look for in folders.
        writes: suffix of the outputs.
        force: whether files may be overwritten.

    Raises:
        UsageError: inputs and output do not fit each other, or a file would be overwritten.
        FileError: an input does not exist.
    """
    if STDIO in inputs:
        if len(inputs) > 1:
            raise UsageError("'-' (stdin) cannot be mixed with other inputs")
        jobs = [Job(None, None if output in (None, STDIO) else _file(str(output), writes))]
    else:
        files = find_inputs(inputs, reads)
        if output == STDIO:
            if len(files) > 1:
                raise UsageError(f"only one file can go to stdout, got {len(files)}")
            jobs = [Job(files[0][0], None)]
        elif output is None:
            jobs = [Job(file, file.with_suffix(writes)) for file, _ in files]
        elif len(inputs) == 1 and Path(inputs[0]).is_file() and not _is_folder(output):
            jobs = [Job(files[0][0], _file(output, writes))]
        else:
            if Path(output).is_file():
                raise UsageError(f"-o must name a folder for {len(files)} inputs, but {output} is a file")
            jobs = [Job(file, Path(output) / relative.with_suffix(writes)) for file, relative in files]
    _check_targets(jobs, force=force)
    return jobs


def _is_folder(output: str) -> bool:
    return output.endswith(os.sep) or Path(output).is_dir()


def _file(output: str, suffix: str) -> Path:
    path = Path(output)
    if path.suffix.lower() != suffix:
        raise UsageError(f"-o must end in {suffix}, or be a folder with a / at its end; got {output}")
    return path


def _check_targets(jobs: Sequence[Job], *, force: bool) -> None:
    taken: dict[Path, Job] = {}
    for job in jobs:
        if job.target is None:
            if sys.stdout.isatty():
                raise UsageError("refusing to write binary data to a terminal; redirect it or give -o FILE")
            continue
        if job.target in taken:
            raise UsageError(f"{taken[job.target].name} and {job.name} would both become {job.target}")
        taken[job.target] = job
    existing = [target for target in taken if target.exists()]
    if existing and not force:
        more = f" (and {len(existing) - 1} more)" if len(existing) > 1 else ""
        raise UsageError(f"{existing[0]}{more} exists; give --force to overwrite")
