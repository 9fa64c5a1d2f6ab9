"""Every error that is raised on purpose has its status; anything else says nothing."""

from __future__ import annotations

import importlib
import pkgutil

import grpc
import pytest

import manypath.errors
import manypath_services
from manypath_services.codec.statuses import CODEC_CODES
from manypath_services.common.errors import DownstreamError, OverloadedError, ServiceError
from manypath_services.common.status import status_of

EXPECTED = {
    "ImageError": "INVALID_ARGUMENT",
    "QualityError": "INVALID_ARGUMENT",
    "PathError": "INVALID_ARGUMENT",
    "BudgetError": "INVALID_ARGUMENT",
    "EffortError": "INVALID_ARGUMENT",
    "FormatError": "INVALID_ARGUMENT",
    "TruncatedError": "INVALID_ARGUMENT",
    "LimitError": "INVALID_ARGUMENT",
    "CorruptError": "DATA_LOSS",
    "ModelMismatchError": "FAILED_PRECONDITION",
    "DesyncError": "DATA_LOSS",
}


def subclasses(root: type) -> set[type]:
    return {root}.union(*(subclasses(one) for one in root.__subclasses__()))


def test_every_error_of_the_services_carries_a_status_of_its_own():
    for module in pkgutil.walk_packages(manypath_services.__path__, "manypath_services."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    errors = {one for one in subclasses(ServiceError) if one.__module__.startswith("manypath_services.")}
    silent = {one.__name__ for one in errors - {ServiceError, DownstreamError} if one.code is grpc.StatusCode.INTERNAL}
    assert len(errors) > 12
    assert not silent


def test_every_error_of_the_codec_that_a_caller_can_cause_has_its_status():
    roots = (manypath.errors.RequestError, manypath.errors.BitstreamError)
    leaves = {
        name
        for name, value in vars(manypath.errors).items()
        if isinstance(value, type) and issubclass(value, roots) and value not in roots
    }
    assert leaves == set(EXPECTED)
    for name, code in EXPECTED.items():
        assert status_of(getattr(manypath.errors, name)("x"), "id", CODEC_CODES).code.name == code


@pytest.mark.parametrize("error", [ValueError("secret"), manypath.errors.CheckpointError("secret")])
def test_anything_else_is_internal_and_says_nothing(error):
    status = status_of(error, "abc", CODEC_CODES)
    assert status.code is grpc.StatusCode.INTERNAL
    assert status.details == "internal error, request abc"
    assert not status.expected


def test_a_full_queue_says_when_to_come_again():
    status = status_of(OverloadedError("full", 0.2501), "id")
    assert status.trailing == (("grpc-retry-pushback-ms", "251"),)


def test_a_downstream_refusal_is_passed_on():
    status = status_of(DownstreamError("the decoder said no", grpc.StatusCode.DATA_LOSS), "id")
    assert status.code is grpc.StatusCode.DATA_LOSS


def test_details_are_cut_before_they_fill_the_metadata():
    assert len(status_of(manypath.errors.PathError("x" * 100_000), "id", CODEC_CODES).details) == 1000
