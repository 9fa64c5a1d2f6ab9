"""The one table from errors to gRPC status codes.

Errors are named, not imported: the worker needs this table and must not reach the codec or torch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from grpc import StatusCode

from manypath_services.common.errors import DownstreamError, OverloadedError

Metadata = tuple[tuple[str, str], ...]

_MAX_DETAILS = 1000  # characters; all metadata of a call share 8 KiB

CODES: Mapping[str, StatusCode] = {
    # the codec, in manypath/errors.py
    "manypath.errors.RequestError": StatusCode.INVALID_ARGUMENT,
    "manypath.errors.BitstreamError": StatusCode.INVALID_ARGUMENT,
    "manypath.errors.CorruptError": StatusCode.DATA_LOSS,
    "manypath.errors.DesyncError": StatusCode.DATA_LOSS,
    "manypath.errors.ModelMismatchError": StatusCode.FAILED_PRECONDITION,
    # serving, in services/manypath_services/common/errors.py
    "manypath_services.common.errors.NotReadyError": StatusCode.UNAVAILABLE,
    "manypath_services.common.errors.StoppingError": StatusCode.UNAVAILABLE,
    "manypath_services.common.errors.OverloadedError": StatusCode.RESOURCE_EXHAUSTED,
    "manypath_services.common.errors.ExpiredError": StatusCode.DEADLINE_EXCEEDED,
    "manypath_services.common.errors.UnsupportedError": StatusCode.FAILED_PRECONDITION,
    "manypath_services.common.errors.ReplySizeError": StatusCode.OUT_OF_RANGE,
    "manypath_services.common.errors.DownstreamUnavailableError": StatusCode.UNAVAILABLE,
    # asking workers, in services/manypath_services/inference/client.py
    "manypath_services.inference.client.InferenceUnavailable": StatusCode.UNAVAILABLE,
    "manypath_services.inference.client.InferenceError": StatusCode.FAILED_PRECONDITION,
    # the worker, in services/worker
    "manypath_services.inference.tensors.TensorError": StatusCode.INVALID_ARGUMENT,
    "manypath_services.worker.model.InputError": StatusCode.INVALID_ARGUMENT,
    "manypath_services.worker.model.UnknownModelError": StatusCode.NOT_FOUND,
}


class Status(NamedTuple):
    """How a call ends.

    Attributes:
        code: of gRPC.
        details: for the caller; says nothing of our insides.
        trailing: metadata that goes with it.
        expected: whether the error is in the table; if not, it is ours, and the log has its story.
    """

    code: StatusCode
    details: str
    trailing: Metadata = ()
    expected: bool = True


def status_of(error: BaseException, request_id: str) -> Status:
    """Return how a call ends that raised ``error``: the nearest ancestor in the table decides."""
    details = str(error)[:_MAX_DETAILS]
    if type(error) is DownstreamError:
        return Status(error.code, details)
    for ancestor in type(error).__mro__:
        code = CODES.get(f"{ancestor.__module__}.{ancestor.__qualname__}")
        if code is not None:
            return Status(code, details, _pushback(error))
    return Status(StatusCode.INTERNAL, f"internal error, request {request_id}", expected=False)


def _pushback(error: BaseException) -> Metadata:
    if not isinstance(error, OverloadedError):
        return ()
    return (("grpc-retry-pushback-ms", str(math.ceil(1000 * error.pushback_seconds))),)
