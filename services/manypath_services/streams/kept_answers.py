"""Answers that may not have reached the one who asked: kept until they have, within bounds."""

from __future__ import annotations

from collections import OrderedDict

from manypath_api.v1 import codec_pb2 as pb

_MOST_ANSWERS = 4096
_MOST_BYTES = 64 * 2**20


class KeptAnswers:
    """The newest answers of all sessions; the oldest are forgotten first, for result sinks have them in any case.

    Args:
        most_answers: that are kept.
        most_bytes: of their messages.
    """

    def __init__(self, most_answers: int = _MOST_ANSWERS, most_bytes: int = _MOST_BYTES) -> None:
        self._most_answers = most_answers
        self._most_bytes = most_bytes
        self._sessions: dict[str, dict[int, pb.FrameAnswer]] = {}
        self._sizes: OrderedDict[tuple[str, int], int] = OrderedDict()  # the oldest first
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._sizes)

    def keep(self, session: str, answer: pb.FrameAnswer) -> None:
        """Keep an answer to a session's frame."""
        self._forget(session, answer.sequence)
        self._sessions.setdefault(session, {})[answer.sequence] = answer
        size = self._sizes[session, answer.sequence] = answer.ByteSize()
        self._bytes += size
        while len(self._sizes) > self._most_answers or self._bytes > self._most_bytes:
            self._forget(*next(iter(self._sizes)))

    def settle(self, session: str, upto: int) -> None:
        """Forget the answers to frames up to a number: the sender has them, or it would still hold their frames."""
        for sequence in [sequence for sequence in self._sessions.get(session, ()) if sequence <= upto]:
            self._forget(session, sequence)

    def of(self, session: str) -> list[pb.FrameAnswer]:
        """Return a session's answers, in the order in which they came."""
        return list(self._sessions.get(session, {}).values())

    def take(self, session: str) -> list[pb.FrameAnswer]:
        """Return a session's answers and forget them."""
        answers = self.of(session)
        for answer in answers:
            self._forget(session, answer.sequence)
        return answers

    def _forget(self, session: str, sequence: int) -> None:
        self._bytes -= self._sizes.pop((session, sequence), 0)
        answers = self._sessions.get(session, {})
        answers.pop(sequence, None)
        if not answers:
            self._sessions.pop(session, None)
