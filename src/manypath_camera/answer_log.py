"""A file of answers, one JSON object a line, each once: it says itself what it has."""

from __future__ import annotations

import json
import os
from collections import OrderedDict
from pathlib import Path

from google.protobuf.json_format import MessageToDict

from manypath_api.v1 import codec_pb2 as pb
from manypath_camera.errors import ConfigurationError

_TAIL_BYTES = 2**22  # that are read at start: far more than can come again
_MOST_REMEMBERED = 10_000


def as_line(session: str, answer: pb.FrameAnswer) -> str:
    """Return an answer of the tasks as JSON: session, sequence, camera, the frame's own times, results."""
    results = MessageToDict(pb.AnalyzeResponse(results=answer.analyzed.results)).get("results", [])
    told = {
        "session": session,
        "sequence": answer.sequence,
        "camera": answer.camera,
        "time": MessageToDict(answer.time),
        "results": results,
    }
    return json.dumps(told, separators=(",", ":"))


class AnswerLog:
    """Appends answers; one that comes again, after a restart of the edge or of the decoder, is left out.

    Args:
        file: appended to; a line that a crash cut short is removed.

    Raises:
        ConfigurationError: it cannot be written.
    """

    def __init__(self, file: Path) -> None:
        try:
            self._file = file.open("a+b")
        except OSError as err:
            raise ConfigurationError(f"cannot write answers to {file}: {err.strerror}") from err
        self._known: OrderedDict[tuple[str, int], None] = OrderedDict()
        self._recover()

    def write(self, session: str, answer: pb.FrameAnswer) -> None:
        """Append an answer to a frame of a session, unless it is there.

        Raises:
            OSError: the disk does not take it.
        """
        if self._is_new(session, answer.sequence):
            self._file.write(as_line(session, answer).encode() + b"\n")
            self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _is_new(self, session: str, sequence: int) -> bool:
        if (session, sequence) in self._known:
            return False
        self._known[session, sequence] = None
        if len(self._known) > _MOST_REMEMBERED:
            self._known.popitem(last=False)
        return True

    def _recover(self) -> None:
        size = self._file.seek(0, os.SEEK_END)
        begin = max(0, size - _TAIL_BYTES)
        self._file.seek(begin)
        whole, _, rest = self._file.read().rpartition(b"\n")
        if rest:
            self._file.truncate(size - len(rest))
        for line in whole.split(b"\n")[1 if begin else 0 :]:
            try:
                told = json.loads(line)
                self._is_new(str(told["session"]), int(told["sequence"]))
            except (ValueError, KeyError, TypeError):  # somebody else's line
                continue
