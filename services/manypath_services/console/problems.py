"""What can go wrong, in words for the page: what happened, and what to do about it."""

from __future__ import annotations

import grpc


class ProblemError(Exception):
    """Something that the page tells its reader.

    Args:
        title: what happened, one short sentence.
        cure: what to do about it; may be empty where ``detail`` says it.
        detail: what the service said.
        status: of the HTTP answer.
    """

    def __init__(self, title: str, *, cure: str = "", detail: str = "", status: int = 400) -> None:
        super().__init__(title)
        self.title = title
        self.cure = cure
        self.detail = detail
        self.status = status


def problem_of(error: grpc.aio.AioRpcError, service: str, target: str) -> ProblemError:
    """Return what to tell of a call that failed.

    Args:
        error: of the call.
        service: "encoder" or "decoder".
        target: its address.
    """
    code, detail = error.code(), error.details() or ""
    match code:
        case grpc.StatusCode.UNAVAILABLE:
            return ProblemError(
                f"The {service} at {target} cannot be reached.",
                cure=f"Start it with “manypath serve {service}”, or set MANYPATH_CONSOLE_{service.upper()} to where it "
                "is. This page tries again with the next change.",
                detail=detail,
                status=503,
            )
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return ProblemError(
                f"The {service} did not answer in time.",
                cure="Try a smaller picture, or again when it has less to do; MANYPATH_CONSOLE_TIMEOUT_SECONDS is the "
                "longest wait.",
                detail=detail,
                status=504,
            )
        case grpc.StatusCode.RESOURCE_EXHAUSTED:
            return ProblemError(
                f"The {service} has more to do than it can take.",
                cure="Try again in a moment.",
                detail=detail,
                status=503,
            )
        case grpc.StatusCode.UNAUTHENTICATED | grpc.StatusCode.PERMISSION_DENIED:
            return ProblemError(
                f"The {service} does not let the console in.",
                cure="Give the console the token and the certificates that the service asks for.",
                detail=detail,
                status=502,
            )
        case grpc.StatusCode.INVALID_ARGUMENT | grpc.StatusCode.OUT_OF_RANGE:
            return ProblemError(f"The {service} cannot do this.", detail=detail, status=422)
        case grpc.StatusCode.FAILED_PRECONDITION | grpc.StatusCode.DATA_LOSS:
            return ProblemError(
                f"The {service} refused.",
                cure="Where encoder and decoder have different models, start both with the same; the System page shows "
                "their digests.",
                detail=detail,
                status=409,
            )
        case grpc.StatusCode.UNIMPLEMENTED:
            return ProblemError(
                f"The server at {target} is no {service}, or is older than this console.",
                cure=f"Set MANYPATH_CONSOLE_{service.upper()} to the right address.",
                detail=detail,
                status=502,
            )
        case _:
            return ProblemError(
                f"The {service} failed.",
                cure="Its log has the whole story under the request’s number.",
                detail=detail,
                status=502,
            )
