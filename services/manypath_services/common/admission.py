"""Who calls, and whether they may now: certificates and tokens become a name, and a name has a rate."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from typing import Any

import grpc

from manypath_services.common.errors import OverloadedError, UnauthenticatedError
from manypath_services.common.metrics import ServiceMetrics
from manypath_services.common.tokens import AUTHORIZATION, TokenFile

caller: ContextVar[str] = ContextVar("caller", default="")
"""Name of whom the current call comes from: a certificate's or a token's; empty where nobody needs one."""

_MOST_CALLERS = 4096  # with a rate of their own at once; the one silent for longest makes room, and begins anew
_Context = grpc.aio.ServicerContext[Any, Any]


class Admission:
    """Names callers, and turns away those without a token or beyond their rate.

    Args:
        metrics: where those beyond their rate are counted.
        tokens: that callers without a certificate must have; None if they need none.
        rate: calls a second of each named caller, over time; twice as many may come at once. 0 is any number.
    """

    def __init__(self, metrics: ServiceMetrics, *, tokens: TokenFile | None = None, rate: float = 0.0) -> None:
        self._metrics = metrics
        self._tokens = tokens
        self._rate = rate
        self._allowances: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def admit(self, context: _Context) -> str:
        """Name the caller, and count the call against its rate.

        Raises:
            UnauthenticatedError: it has neither a certificate nor a token that is known.
            OverloadedError: it calls more often than it may.
        """
        name = self._name(context)
        caller.set(name)
        if self._rate and name:
            self._count(name)
        return name

    def _name(self, context: _Context) -> str:
        name = certificate_name(context.auth_context())
        if name or self._tokens is None:
            return name
        for key, value in context.invocation_metadata() or ():
            if key == AUTHORIZATION and isinstance(value, str):
                found = self._tokens.caller(value)
                if found is None:
                    raise UnauthenticatedError("this token is not known here, or was revoked; ask for another one")
                return found
        raise UnauthenticatedError('callers need a token here; send metadata "authorization: Bearer TOKEN"')

    def _count(self, name: str) -> None:
        now = time.monotonic()
        burst = max(1.0, 2 * self._rate)
        left, then = self._allowances.pop(name, (burst, now))
        left = min(burst, left + (now - then) * self._rate)
        if len(self._allowances) >= _MOST_CALLERS:
            self._allowances.popitem(last=False)
        if left < 1:
            self._allowances[name] = (left, now)
            self._metrics.refusals.count("caller_rate", name)
            raise OverloadedError(f"{name} may call {self._rate:g} times a second; come again", (1 - left) / self._rate)
        self._allowances[name] = (left - 1, now)


def certificate_name(authentication: Mapping[str, Iterable[bytes]] | None) -> str:
    """Return the name in a caller's certificate: its SPIFFE id, else its first alternative name, else its common name.

    Args:
        authentication: of a call, as gRPC has it; certificates that it could not verify are not in there.
    """
    if not authentication:
        return ""
    names = _texts(authentication.get("x509_subject_alternative_name", ()))
    spiffe = [name for name in names if name.startswith("spiffe://")]
    common = _texts(authentication.get("x509_common_name", ()))
    return next(iter((*spiffe, *names, *common)), "")


def _texts(values: Iterable[bytes]) -> list[str]:
    return [value.decode("utf-8", errors="replace")[:256] for value in values]
