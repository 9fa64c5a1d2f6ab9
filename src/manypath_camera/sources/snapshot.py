"""A camera's address of a still picture, asked again and again: the best picture that many cameras give."""

from __future__ import annotations

import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import IO
from urllib.parse import unquote, urlsplit, urlunsplit

from manypath_camera.errors import SourceError
from manypath_camera.frames import Captured
from manypath_camera.sources.source import without_password

_MAX_BYTES = 64 * 2**20


class _CloseRefusal(urllib.request.BaseHandler):
    """Closes the answer that asks for a password; those that answer it forget to."""

    handler_order = 100  # before them: they read its headers only

    def http_error_401(self, request: object, answer: IO[bytes], *_: object) -> None:
        answer.close()


class SnapshotSource:
    """Asks for a JPEG or PNG every so often; a name and password in the address go as Basic or Digest.

    Args:
        url: http or https.
        every_seconds: between two pictures.
        timeout_seconds: for each answer.
    """

    lossless = False

    def __init__(self, url: str, every_seconds: float, timeout_seconds: float) -> None:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
        self._url = urlunsplit(parts._replace(netloc=host))
        self._shown = without_password(url)
        self._every_seconds = every_seconds
        self._timeout_seconds = timeout_seconds
        handlers: list[urllib.request.BaseHandler] = []
        if parts.username:
            passwords = urllib.request.HTTPPasswordMgrWithDefaultRealm()
            name, word = unquote(parts.username), unquote(parts.password or "")
            passwords.add_password(None, self._url, name, word)
            handlers += [
                _CloseRefusal(),
                urllib.request.HTTPDigestAuthHandler(passwords),
                urllib.request.HTTPBasicAuthHandler(passwords),
            ]
        self._opener = urllib.request.build_opener(*handlers)

    def frames(self, ended: threading.Event) -> Iterator[Captured]:
        """See ``Source``."""
        next_at = time.monotonic()
        while not ended.wait(max(0.0, next_at - time.monotonic())):
            next_at = max(next_at + self._every_seconds, time.monotonic())
            yield Captured(self._fetch())

    def _fetch(self) -> bytes:
        try:
            with self._opener.open(self._url, timeout=self._timeout_seconds) as response:
                picture: bytes = response.read(_MAX_BYTES + 1)
        except urllib.error.HTTPError as err:
            err.close()
            cure = "; is the name and password in the address right?" if err.code in {401, 403} else ""
            raise SourceError(f"{self._shown} answers HTTP status {err.code}{cure}") from err
        except (OSError, ValueError) as err:
            raise SourceError(f"{self._shown} gives no picture: {err}") from err
        if len(picture) > _MAX_BYTES:
            raise SourceError(f"{self._shown} sends more than {_MAX_BYTES} bytes for one picture")
        if not picture.startswith((b"\xff\xd8", b"\x89PNG")):
            raise SourceError(f"{self._shown} sends no JPEG or PNG, but {picture[:20]!r}")
        return picture
