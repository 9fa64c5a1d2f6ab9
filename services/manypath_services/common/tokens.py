"""Bearer tokens for callers without certificates: the server keeps their hashes, the client sends one with each call.

A token is 256 random bits, so that one SHA-256 is enough to keep it: there is nothing to guess. The server's file has
a line for each caller, ``NAME sha256:HEX``, and is read again when it changes: a removed line is a revoked token.
``manypath token NAME`` makes both.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

import grpc

from manypath_services.common.errors import TokenFileError

AUTHORIZATION = "authorization"
_LOOK_SECONDS = 1.0
Content = TypeVar("Content")
_LINE = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._/-]{0,63})\s+sha256:(?P<digest>[0-9a-f]{64})")
_BEARER = re.compile(r"[Bb]earer +(?P<token>[\x21-\x7e]{1,512})")


class Token(NamedTuple):
    """A new token.

    Attributes:
        secret: for the caller; keep it out of logs.
        line: for the server's file.
    """

    secret: str
    line: str


def new_token(name: str) -> Token:
    """Make a token.

    Args:
        name: of the caller, in logs: 1 to 64 letters, digits and ``._/-``.

    Raises:
        TokenFileError: the name has something else.
    """
    secret = "mp_" + secrets.token_urlsafe(32)
    line = f"{name} sha256:{_digest(secret)}"
    if _LINE.fullmatch(line) is None:
        raise TokenFileError(f"a caller's name is 1 to 64 letters, digits and ._/-, beginning with one; got {name!r}")
    return Token(secret, line)


def read_tokens(file: Path) -> Mapping[str, str]:
    """Return the callers' names by the digest of their token.

    Raises:
        TokenFileError: the file cannot be read, or a line makes no sense.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as err:
        raise TokenFileError(f"cannot read {file}: {err}") from err
    found: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        match = _LINE.fullmatch(text)
        if match is None:
            raise TokenFileError(f"{file} line {number} must be NAME sha256:HEX, as `manypath token NAME` prints it")
        found[match["digest"]] = match["name"]
    return found


class TokenFile:
    """The server's side: whose token is this?

    Args:
        file: of names and digests.

    Raises:
        TokenFileError: the file makes no sense. Where it does so later, nobody's token is known until it does again:
            a mistake must not let in who was just revoked.
    """

    def __init__(self, file: Path) -> None:
        self._tokens: _Watched[Mapping[str, str]] = _Watched(file, read_tokens, {})

    def caller(self, authorization: str) -> str | None:
        """Return the name of whom an ``authorization`` header belongs to; None if it is nobody's."""
        match = _BEARER.fullmatch(authorization)
        return None if match is None else self._tokens.current().get(_digest(match["token"]))


class BearerToken(grpc.AuthMetadataPlugin):
    """The client's side: sends the token of a file with each call; a renewed file is read again.

    Args:
        file: that holds the token alone.

    Raises:
        TokenFileError: the file cannot be read, or holds no token.
    """

    def __init__(self, file: Path) -> None:
        self._token = _Watched(file, _read_secret, "")

    def __call__(self, context: grpc.AuthMetadataContext, callback: grpc.AuthMetadataPluginCallback) -> None:
        """Add the header; gRPC calls this for each call, in a thread of its own."""
        callback(((AUTHORIZATION, f"Bearer {self._token.current()}"),), None)


def call_credentials(file: Path) -> grpc.CallCredentials:
    """Return credentials that send the token of ``file``; gRPC sends them over TLS alone.

    Raises:
        TokenFileError: the file cannot be read, or holds no token.
    """
    return grpc.metadata_call_credentials(BearerToken(file), name="manypath-token")


class _Watched(Generic[Content]):
    """What a file says, read again when it changes."""

    def __init__(self, file: Path, read: Callable[[Path], Content], nothing: Content) -> None:
        self._file = file
        self._read = read
        self._nothing = nothing
        self._lock = threading.Lock()
        self._stamp = self._look()
        self._looked = time.monotonic()
        self._content = read(file)

    def current(self) -> Content:
        with self._lock:
            if time.monotonic() - self._looked >= _LOOK_SECONDS:
                self._looked = time.monotonic()
                stamp = self._look()
                if stamp != self._stamp:
                    self._stamp = stamp
                    try:
                        self._content = self._read(self._file)
                    except TokenFileError:
                        self._content, self._stamp = self._nothing, None
            return self._content

    def _look(self) -> tuple[int, int, int] | None:
        try:
            status = self._file.stat()
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns, status.st_size


def _read_secret(file: Path) -> str:
    try:
        secret = file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as err:
        raise TokenFileError(f"cannot read the token in {file}: {err}") from err
    if _BEARER.fullmatch(f"Bearer {secret}") is None:
        raise TokenFileError(f"{file} must hold one token and nothing else")
    return secret


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
