"""What guards the pages: host names, origins, the size of what comes in, and headers that browsers enforce."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(self), geolocation=(), microphone=()",
    "referrer-policy": "no-referrer",  # addresses hold the ids of pictures
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class TooLargeError(Exception):
    """A request's body has more bytes than are accepted."""


class Guard:
    """Refuses what no page of ours would send, and says to browsers what our pages may do.

    A page of another site cannot change anything here: browsers say where a request comes from, and a name of that
    site's own that leads to this address is not among ``names``.

    Args:
        app: that is guarded.
        names: host names that requests may carry; ("*",) takes any.
        max_body_bytes: of a request.
    """

    def __init__(self, app: ASGIApp, *, names: Sequence[str], max_body_bytes: int) -> None:
        self._app = app
        self._names = frozenset(names)
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        started = False

        async def guarded_send(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                own = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    own.setdefault(name, value)
            await send(message)

        refusal = self._refusal(scope["method"], headers)
        if refusal is not None:
            await refusal(scope, receive, guarded_send)
            return
        taken = 0

        async def limited_receive() -> Message:
            nonlocal taken
            message = await receive()
            if message["type"] == "http.request":
                taken += len(message.get("body", b""))
                if taken > self._max_body_bytes:
                    raise TooLargeError
            return message

        try:
            await self._app(scope, limited_receive, guarded_send)
        except TooLargeError:
            if started:
                raise
            await self._too_large()(scope, receive, guarded_send)

    def _refusal(self, method: str, headers: Headers) -> PlainTextResponse | None:
        host = headers.get("host", "")
        name = urlsplit(f"//{host}").netloc.rpartition(":")[0] if _has_port(host) else host
        if "*" not in self._names and name.lower() not in self._names:
            return PlainTextResponse(
                f"This console does not answer to the name {name[:80]!r}.\n"
                "Name it in MANYPATH_CONSOLE_NAMES if it is yours.\n",
                421,
            )
        if method not in _SAFE_METHODS and not _same_origin(headers, host):
            return PlainTextResponse("Only the console’s own pages may ask for this.\n", 403)
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length) > self._max_body_bytes:
            return self._too_large()
        return None

    def _too_large(self) -> PlainTextResponse:
        return PlainTextResponse(
            f"The file is too large: at most {self._max_body_bytes:,} bytes are taken here. Send a smaller one, "
            "or raise MANYPATH_CONSOLE_MAX_UPLOAD_BYTES.\n",
            413,
            headers={"connection": "close"},
        )


def _has_port(host: str) -> bool:
    return host.rpartition(":")[2].isdecimal() and not host.endswith("]")


def _same_origin(headers: Headers, host: str) -> bool:
    """Return whether a browser says that a page of ours asks, or no browser asks."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site in {"same-origin", "none"}
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc == host
