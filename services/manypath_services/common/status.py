"""From an error to the status that a call ends with."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from grpc import StatusCode

from manypath_services.common.errors import OverloadedError, ServiceError

Metadata = tuple[tuple[str, str], ...]
Codes = Mapping[type[Exception], StatusCode]

_MAX_DETAILS = 1000  # characters; all metadata of a call share 8 KiB


class Status(NamedTuple):
    """How a call ends.

    Attributes:
        code: of gRPC.
        details: for the caller; says nothing of our insides.
        trailing: metadata that goes with it.
        expected: whether the error was raised on purpose; if not, it is ours, and the log has its story.
    """

    code: StatusCode
    details: str
    trailing: Metadata = ()
    expected: bool = True


def status_of(error: BaseException, request_id: str, codes: Codes | None = None) -> Status:
    """Return how a call ends that raised ``error``.

    Args:
        error: of ours it carries its code.
        request_id: named to a caller who hits an error that nobody foresaw.
        codes: of errors that are not ours, as the codec's; the nearest ancestor decides.
    """
    details = str(error)[:_MAX_DETAILS]
    if isinstance(error, ServiceError):
        return Status(error.code, details, _pushback(error))
    for ancestor in type(error).__mro__:
        code = (codes or {}).get(ancestor)
        if code is not None:
            return Status(code, details)
    return Status(StatusCode.INTERNAL, f"internal error, request {request_id}", expected=False)


def _pushback(error: ServiceError) -> Metadata:
    if not isinstance(error, OverloadedError):
        return ()
    return (("grpc-retry-pushback-ms", str(math.ceil(1000 * error.pushback_seconds))),)
