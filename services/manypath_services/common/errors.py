"""What can go wrong in serving, beside what the codec itself raises.

::

    ServiceError
      NotReadyError            the model is still loading
      StoppingError            the server is about to end; another one, or the next, will answer
      OverloadedError          the queue is full; come again later
      ExpiredError             the deadline passed before compute
      UnsupportedError         this server is not configured for what was asked
      ReplySizeError           the answer does not fit into a message
      DownstreamError          another server refused, with its own status
        DownstreamUnavailableError   it cannot be reached, or not in time
"""

from __future__ import annotations

import grpc


class ServiceError(Exception):
    """Root of everything the services raise on purpose."""


class NotReadyError(ServiceError):
    """The model is still loading."""


class StoppingError(ServiceError):
    """The server is about to end."""


class OverloadedError(ServiceError):
    """The queue is full.

    Args:
        message: what is full.
        pushback_seconds: after which the client may come again.
    """

    def __init__(self, message: str, pushback_seconds: float) -> None:
        super().__init__(message)
        self.pushback_seconds = pushback_seconds


class ExpiredError(ServiceError):
    """The deadline passed while the request waited; nothing was computed."""


class UnsupportedError(ServiceError):
    """This server is not configured for what was asked."""


class ReplySizeError(ServiceError):
    """The answer does not fit into a message."""


class DownstreamError(ServiceError):
    """Another server refused.

    Args:
        message: which server, and what it said.
        code: its status, passed on.
    """

    def __init__(self, message: str, code: grpc.StatusCode) -> None:
        super().__init__(message)
        self.code = code


class DownstreamUnavailableError(DownstreamError):
    """Another server cannot be reached."""

    def __init__(self, message: str) -> None:
        super().__init__(message, grpc.StatusCode.UNAVAILABLE)
