"""Where results go beside the caller's stream: a file of lines, a webhook, a folder of pictures; or one of your own."""

from __future__ import annotations

import asyncio
import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from google.protobuf.json_format import MessageToDict
from grpc import StatusCode

from manypath_api.v1 import codec_pb2 as pb
from manypath_services.common.entry import StartError
from manypath_services.common.errors import ServiceError

_TAIL_BYTES = 2**22  # of a file of lines that are read at start: far more than can be on its way
_TIMEOUT_SECONDS = 10.0
_ATTEMPTS = 3
_PAUSE_SECONDS = 0.5


class SinkError(ServiceError):
    """A result sink does not take a result now; the frame is sent again later."""

    code = StatusCode.UNAVAILABLE


class Delivered(NamedTuple):
    """Names a frame: what a sink keeps, so that it keeps it once."""

    session: str
    sequence: int


class Result(NamedTuple):
    """What became of one frame.

    Attributes:
        session: of its sender.
        frame: as it came.
        facts: of its bitstream's header.
        analyzed: what was found; empty where nothing was asked.
    """

    session: str
    frame: pb.BitstreamFrame
    facts: pb.BitstreamFacts
    analyzed: pb.AnalyzeResponse


class ResultSink(Protocol):
    """What a result sink is: the plug point.

    A frame is acknowledged after every sink took it, and then never comes again. A sink that was told and whose
    process ended before the acknowledgement may be told again, by the same session and sequence: one that says in
    ``recover`` what it has is spared that.
    """

    def recover(self) -> Iterable[Delivered]:
        """Return the newest frames that it has, at start."""

    async def take(self, result: Result) -> None:
        """Take a result; it is safe when this returns.

        Raises:
            SinkError: not now; the frame comes again.
        """

    async def close(self) -> None:
        """Finish."""


class LinesSink:
    """One JSON object a line, on the disk before the frame is acknowledged.

    Args:
        file: appended to; a line that a crash cut short is removed.

    Raises:
        StartError: it cannot be written.
    """

    def __init__(self, file: Path) -> None:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            self._file = file.open("a+b")
        except OSError as err:
            raise StartError(f"cannot write results to {file}: {err.strerror}") from err
        self._tail = self._read_tail()

    def recover(self) -> Iterator[Delivered]:
        """See ``ResultSink``."""
        for line in self._tail:
            try:
                told = json.loads(line)
                yield Delivered(str(told["session"]), int(told["sequence"]))
            except (ValueError, KeyError, TypeError):  # somebody else's line
                continue
        self._tail = []

    async def take(self, result: Result) -> None:
        """See ``ResultSink``."""
        line = json.dumps(as_json(result), separators=(",", ":")).encode() + b"\n"
        try:
            await asyncio.to_thread(self._append, line)
        except OSError as err:
            raise SinkError(f"results cannot be written: {err.strerror}") from err

    async def close(self) -> None:
        """See ``ResultSink``."""
        self._file.close()

    def _append(self, line: bytes) -> None:
        begin = self._file.seek(0, os.SEEK_END)
        try:
            self._file.write(line)
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError:
            self._file.truncate(begin)  # half a line would spoil the next one
            raise

    def _read_tail(self) -> list[bytes]:
        size = self._file.seek(0, os.SEEK_END)
        begin = max(0, size - _TAIL_BYTES)
        self._file.seek(begin)
        content = self._file.read()
        whole, _, rest = content.rpartition(b"\n")
        if rest:
            self._file.truncate(size - len(rest))
        return whole.split(b"\n")[1 if begin else 0 :]


class WebhookSink:
    """Posts each result as JSON; the header ``Idempotency-Key`` names the frame, for a receiver that was told twice.

    Args:
        url: http or https.
    """

    def __init__(self, url: str) -> None:
        if not url.startswith(("http://", "https://")):
            raise StartError(f"a webhook's address begins with http:// or https://, got {url!r}")
        self._url = url

    def recover(self) -> Iterable[Delivered]:
        """See ``ResultSink``."""
        return ()

    async def take(self, result: Result) -> None:
        """See ``ResultSink``."""
        body = json.dumps(as_json(result)).encode()
        key = f"{result.session}/{result.frame.header.sequence}"
        for attempt in range(_ATTEMPTS):
            try:
                await asyncio.to_thread(self._post, body, key)
            except OSError as err:  # URLError is one
                if attempt + 1 == _ATTEMPTS:
                    raise SinkError(f"the webhook does not take results: {err}") from err
                await asyncio.sleep(_PAUSE_SECONDS * 2**attempt)
            else:
                return

    async def close(self) -> None:
        """See ``ResultSink``."""

    def _post(self, body: bytes, key: str) -> None:
        headers = {"Content-Type": "application/json", "Idempotency-Key": key}
        request = urllib.request.Request(self._url, body, headers)  # noqa: S310  (http and https only, see above)
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as response:  # noqa: S310
                response.read()
        except urllib.error.HTTPError as err:
            err.close()  # it holds the connection
            raise OSError(f"HTTP status {err.code}") from err


class FolderSink:
    """A folder for each camera: the pictures that were asked for as PNG; the bitstream where none were.

    The files' names hold time, session and sequence: the same frame again is the same file.

    Args:
        folder: made where it is missing.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as err:
            raise StartError(f"cannot write pictures to {folder}: {err.strerror}") from err

    def recover(self) -> Iterable[Delivered]:
        """See ``ResultSink``."""
        return ()

    async def take(self, result: Result) -> None:
        """See ``ResultSink``."""
        try:
            await asyncio.to_thread(self._write, result)
        except OSError as err:
            raise SinkError(f"pictures cannot be written: {err.strerror}") from err

    async def close(self) -> None:
        """See ``ResultSink``."""

    def _write(self, result: Result) -> None:
        header = result.frame.header
        folder = self._folder / header.camera.replace("..", "__")
        folder.mkdir(exist_ok=True)
        stamp = header.time.captured_at.ToDatetime().strftime("%Y%m%dT%H%M%S.%f")[:-3]
        stem = f"{stamp}-{result.session[:8]}-{header.sequence:09d}"
        pictures = [
            (f"{stem}-{picture.route.used_name or 'perceptual'}.png", picture.picture.file)
            for picture in result.analyzed.pictures
            if picture.picture.file
        ]
        for name, content in pictures or [(f"{stem}.mpa", result.frame.bitstream)]:
            fresh = folder / f".{name}.part"
            with fresh.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            fresh.rename(folder / name)


def as_json(result: Result) -> dict[str, Any]:
    """Return a result as JSON has it: no pictures, masks and overlays as base64."""
    header = result.frame.header
    analyzed = pb.AnalyzeResponse(results=result.analyzed.results)
    return {
        "session": result.session,
        "sequence": header.sequence,
        "camera": header.camera,
        "time": MessageToDict(header.time),
        "origin": MessageToDict(header.origin),
        "receivedAt": datetime.now(UTC).isoformat(),
        "bytes": len(result.frame.bitstream),
        "facts": MessageToDict(result.facts),
        "results": MessageToDict(analyzed).get("results", []),
    }
