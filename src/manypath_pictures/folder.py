"""The files of a folder or a glob: what cannot be read is named, what is left out counted, dot files are not seen."""

from __future__ import annotations

import fnmatch
import glob
import os
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple


class Found(NamedTuple):
    """What was found.

    Attributes:
        files: sorted by name.
        failures: folders that could not be listed, and why.
        left_out: number of other files by suffix; those without one under their kind or "no suffix".
    """

    files: list[Path]
    failures: list[tuple[Path, str]]
    left_out: Counter[str]


def files_below(folder: Path, suffixes: Collection[str]) -> Found:
    """Return all files below a folder with one of the suffixes (in lower case), whatever case they are written in.

    Names that begin with a dot are hidden: programs keep their own things there, and macOS the other half of a file.
    Links to files are followed, links to folders are not. A pipe or device is left out: to open it may block.
    """
    found = Found([], [], Counter())
    for entry in _below(folder, found):
        suffix = Path(entry.name).suffix.lower()
        if not entry.is_file():
            found.left_out["a broken link" if entry.is_symlink() else "no regular file"] += 1
        elif suffix in suffixes:
            found.files.append(Path(entry.path))
        else:
            found.left_out[suffix or "no suffix"] += 1
    return Found(sorted(found.files), sorted(found.failures), found.left_out)


def files_matching(pattern: str) -> Found:
    """Return everything but folders that matches a glob; ``**`` crosses folders, a dot is only matched by a dot."""
    found = Found([], [], Counter())
    anchor, *parts = Path(pattern).parts
    start = Path(anchor)
    if not start.is_absolute():
        start, parts = Path(), [anchor, *parts]
    seen = dict.fromkeys(_expanded(start, parts, found))
    found.files.extend(path for path in seen if not path.is_dir())
    return Found(sorted(found.files), sorted(set(found.failures)), found.left_out)


def _expanded(start: Path, parts: list[str], found: Found) -> Iterator[Path]:
    if not parts:
        yield start
        return
    part, rest = parts[0], parts[1:]
    if part == "**":
        yield from _expanded(start, rest or ["*"], found)
        for entry in _listed(start, found):
            if entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
                yield from _expanded(start / entry.name, parts, found)
    elif glob.has_magic(part):
        for entry in _listed(start, found):
            hidden = entry.name.startswith(".") and not part.startswith(".")
            if fnmatch.fnmatchcase(entry.name, part) and not hidden and (not rest or entry.is_dir()):
                yield from _expanded(start / entry.name, rest, found)
    elif _is_there(start / part, found):
        yield from _expanded(start / part, rest, found)


def _is_there(path: Path, found: Found) -> bool:
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as err:
        found.failures.append((path, err.strerror or str(err)))
        return False
    return True


def _below(folder: Path, found: Found) -> Iterator[os.DirEntry[str]]:
    for entry in _listed(folder, found):
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _below(folder / entry.name, found)
        elif not entry.is_dir():
            yield entry


def _listed(folder: Path, found: Found) -> list[os.DirEntry[str]]:
    """Return what a folder holds; one that cannot be listed is a failure of its own."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as err:
        found.failures.append((folder, err.strerror or str(err)))
        return []
