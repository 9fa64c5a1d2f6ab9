"""How a call ends when the codec refuses: the codec knows no transport, so its errors do not carry this themselves."""

from __future__ import annotations

from grpc import StatusCode

from manypath import errors
from manypath_services.common.status import Codes

CODEC_CODES: Codes = {
    errors.RequestError: StatusCode.INVALID_ARGUMENT,
    errors.BitstreamError: StatusCode.INVALID_ARGUMENT,
    errors.CorruptError: StatusCode.DATA_LOSS,
    errors.DesyncError: StatusCode.DATA_LOSS,
    errors.ModelMismatchError: StatusCode.FAILED_PRECONDITION,
}
