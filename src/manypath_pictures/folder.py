"""The files of a folder or a glob: what cannot be read is named, what is left out counted, dot files are not seen."""

from __future__ import annotations

import fnmatch
import glob
import os
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple


class Listing(NamedTuple):
    """What a folder or a glob holds.

    Attributes:
        files: sorted by name.
        failures: folders that could not be listed, and why.
        left_out: number of other files by suffix; those without one under their kind or "no suffix".
    """

    files: list[Path]
    failures: list[tuple[Path, str]]
    left_out: Counter[str]


def files_below(folder: Path, suffixes: Collection[str]) -> Listing:
    """Return all files below a folder with one of the suffixes (in lower case), whatever case they are written in.

    Names that begin with a dot are hidden: programs keep their own things there, and macOS the other half of a file.
    Links to files are followed, links to folders are not. A pipe or device is left out: to open it may block.
    """
    listing = Listing([], [], Counter())
    for entry in _below(folder, listing):
        suffix = Path(entry.name).suffix.lower()
        if not entry.is_file():
            listing.left_out["a broken link" if entry.is_symlink() else "no regular file"] += 1
        elif suffix in suffixes:
            listing.files.append(Path(entry.path))
        else:
            listing.left_out[suffix or "no suffix"] += 1
    return Listing(sorted(listing.files), sorted(listing.failures), listing.left_out)


def files_matching(pattern: str) -> Listing:
    """Return everything but folders that matches a glob; ``**`` crosses folders, a dot is only matched by a dot."""
    listing = Listing([], [], Counter())
    anchor, *parts = Path(pattern).parts
    start = Path(anchor)
    if not start.is_absolute():
        start, parts = Path(), [anchor, *parts]
    seen = dict.fromkeys(_expanded(start, parts, listing))
    listing.files.extend(path for path in seen if not path.is_dir())
    return Listing(sorted(listing.files), sorted(set(listing.failures)), listing.left_out)


def _expanded(start: Path, parts: list[str], listing: Listing) -> Iterator[Path]:
    if not parts:
        yield start
        return
    part, rest = parts[0], parts[1:]
    if part == "**":
        yield from _expanded(start, rest or ["*"], listing)
        for entry in _listed(start, listing):
            if entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
                yield from _expanded(start / entry.name, parts, listing)
    elif glob.has_magic(part):
        for entry in _listed(start, listing):
            hidden = entry.name.startswith(".") and not part.startswith(".")
            if fnmatch.fnmatchcase(entry.name, part) and not hidden and (not rest or entry.is_dir()):
                yield from _expanded(start / entry.name, rest, listing)
    elif _is_there(start / part, listing):
        yield from _expanded(start / part, rest, listing)


def _is_there(path: Path, listing: Listing) -> bool:
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as err:
        listing.failures.append((path, err.strerror or str(err)))
        return False
    return True


def _below(folder: Path, listing: Listing) -> Iterator[os.DirEntry[str]]:
    for entry in _listed(folder, listing):
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _below(folder / entry.name, listing)
        elif not entry.is_dir():
            yield entry


def _listed(folder: Path, listing: Listing) -> list[os.DirEntry[str]]:
    """Return what a folder holds; one that cannot be listed is a failure of its own."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as err:
        listing.failures.append((folder, err.strerror or str(err)))
        return []
