"""How a call ends when codec or pictures refuse: they know no transport, so their errors do not say this themselves."""

from __future__ import annotations

from grpc import StatusCode

from manypath import errors
from manypath_pictures.errors import PictureError
from manypath_services.common.status import Codes

CODEC_CODES: Codes = {
    PictureError: StatusCode.INVALID_ARGUMENT,
    errors.RequestError: StatusCode.INVALID_ARGUMENT,
    errors.BitstreamError: StatusCode.INVALID_ARGUMENT,
    errors.CorruptError: StatusCode.DATA_LOSS,
    errors.DesyncError: StatusCode.DATA_LOSS,
    errors.ModelMismatchError: StatusCode.FAILED_PRECONDITION,
}
