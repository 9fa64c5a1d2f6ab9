"""Names of files as they may be printed: a name can hold anything, and some of it commands a terminal."""

from __future__ import annotations

import os


def printable(name: str | os.PathLike[str]) -> str:
    r"""Return a name with everything that is not printed escaped: ``\n``, ``\x1b``, and bytes that are no UTF-8."""
    text = os.fspath(name)
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else _escaped(character) for character in text)


def printable_lines(text: str) -> str:
    """Return a message with its lines kept and everything else escaped that is not printed."""
    return "\n".join(printable(line) for line in text.split("\n"))


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # how Python holds a byte that is no UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")
