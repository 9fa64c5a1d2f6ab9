"""What can go wrong in serving: one root, each class with the status that a caller sees.

::

    ServiceError
      NotReadyError            UNAVAILABLE          the model is still loading
      StoppingError            UNAVAILABLE          the server is about to end; another one, or the next, will answer
      MessageError             INVALID_ARGUMENT     the message is malformed, or has more parts than a message may have
      OverloadedError          RESOURCE_EXHAUSTED   something is full; come again later
      UnauthenticatedError     UNAUTHENTICATED      the caller has no token, or not one that is known
      TlsError                 FAILED_PRECONDITION  certificates that cannot be used: start-up fails
      TokenFileError           FAILED_PRECONDITION  likewise of tokens
      ExpiredError             DEADLINE_EXCEEDED    the deadline passed, or will pass, before the answer is there
      AbandonedError           CANCELLED            nobody waits for the answer any more
      UnsupportedError         FAILED_PRECONDITION  this server is not configured for what was asked
      ReplySizeError           OUT_OF_RANGE         the answer does not fit into a message
      DownstreamError          its own              another server refused
        DownstreamUnavailableError   UNAVAILABLE    it cannot be reached, or not in time
          DownstreamAwayError        UNAVAILABLE    the last calls all failed, so it was not asked

The rooms add theirs: ``inference.tensors.TensorError``, ``inference.tasks.AnswerError``, ``worker.model.InputError``
and so on. What the codec raises has its statuses in ``codec.statuses``.
"""

from __future__ import annotations

from grpc import StatusCode


class ServiceError(Exception):
    """Root of everything the services raise on purpose.

    Attributes:
        code: how the call ends.
    """

    code: StatusCode = StatusCode.INTERNAL


class NotReadyError(ServiceError):
    """The model is still loading."""

    code = StatusCode.UNAVAILABLE


class StoppingError(ServiceError):
    """The server is about to end."""

    code = StatusCode.UNAVAILABLE


class MessageError(ServiceError):
    """The message is malformed, or has more parts than a message may have."""

    code = StatusCode.INVALID_ARGUMENT


class OverloadedError(ServiceError):
    """Something is full.

    Args:
        message: what is full.
        pushback_seconds: after which the client may come again.
    """

    code = StatusCode.RESOURCE_EXHAUSTED

    def __init__(self, message: str, pushback_seconds: float) -> None:
        super().__init__(message)
        self.pushback_seconds = pushback_seconds


class UnauthenticatedError(ServiceError):
    """The caller has no token, or not one that is known."""

    code = StatusCode.UNAUTHENTICATED


class TlsError(ServiceError):
    """Certificates cannot be read, or do not belong together."""

    code = StatusCode.FAILED_PRECONDITION


class TokenFileError(ServiceError):
    """A file of tokens cannot be read, or makes no sense."""

    code = StatusCode.FAILED_PRECONDITION


class ExpiredError(ServiceError):
    """The deadline passed, or will pass, before the answer is there."""

    code = StatusCode.DEADLINE_EXCEEDED


class AbandonedError(ServiceError):
    """Nobody waits for the answer any more; the work for it was ended."""

    code = StatusCode.CANCELLED


class UnsupportedError(ServiceError):
    """This server is not configured for what was asked."""

    code = StatusCode.FAILED_PRECONDITION


class ReplySizeError(ServiceError):
    """The answer does not fit into a message."""

    code = StatusCode.OUT_OF_RANGE


class DownstreamError(ServiceError):
    """Another server refused.

    Args:
        message: which server, and what it said.
        code: its status, passed on.
    """

    def __init__(self, message: str, code: StatusCode) -> None:
        super().__init__(message)
        self.code = code


class DownstreamUnavailableError(DownstreamError):
    """Another server cannot be reached."""

    code = StatusCode.UNAVAILABLE

    def __init__(self, message: str) -> None:
        super().__init__(message, StatusCode.UNAVAILABLE)


class DownstreamAwayError(DownstreamUnavailableError):
    """The last calls to another server all failed, so it was not asked."""
