"""Signing in: where the console has a file of callers' tokens, a browser shows one of them before anything else."""

from __future__ import annotations

from urllib.parse import urlencode, urlsplit

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from manypath_services.common.tokens import AUTHORIZATION, TokenFile
from manypath_services.console.pages import page, parts_of, problem_page, route
from manypath_services.console.problems import ProblemError

COOKIE = "manypath-token"
_OPEN = ("/static/", "/signin", "/healthz")
_SECONDS = 12 * 3600  # that a browser keeps it


def routes() -> list[BaseRoute]:
    """Return the page's addresses."""
    return [route("/signin", ask), route("/signin", take, ("POST",))]


class SignIn:
    """Lets through who shows a token: by cookie, as browsers do, or by header, as scripts do.

    Args:
        app: that is guarded.
        tokens: whose tokens are known; None lets everyone through.
    """

    def __init__(self, app: ASGIApp, *, tokens: TokenFile | None) -> None:
        self._app = app
        self._tokens = tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if self._tokens is None or scope["type"] != "http" or scope["path"].startswith(_OPEN):
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        if self._tokens.caller(_shown(request)) is not None:
            await self._app(scope, receive, send)
            return
        await _refusal(request)(scope, receive, send)


async def ask(request: Request) -> Response:
    """The page that asks for a token."""
    return page(
        parts_of(request), "signin.html", here="", next=_inside(request.query_params.get("next", "/")), wrong=False
    )


async def take(request: Request) -> Response:
    """Take a token, and go on to where the browser wanted to."""
    parts = parts_of(request)
    async with request.form(max_files=0, max_fields=4, max_part_size=2**12) as form:
        secret, following = str(form.get("token", "")).strip(), _inside(str(form.get("next", "/")))
    if parts.tokens is None or parts.tokens.caller(f"Bearer {secret}") is None:
        return page(parts, "signin.html", status=401, here="", next=following, wrong=True)
    response = RedirectResponse(following, 303)
    secure = parts.settings.tls_certificate is not None
    response.set_cookie(COOKIE, secret, max_age=_SECONDS, httponly=True, samesite="strict", secure=secure)
    return response


def _shown(request: Request) -> str:
    headers: Headers = request.headers
    header = headers.get(AUTHORIZATION)
    return header if header is not None else f"Bearer {request.cookies.get(COOKIE, '')}"


def _refusal(request: Request) -> Response:
    if request.method == "GET" and request.headers.get("hx-request") != "true":
        address = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"/signin?{urlencode({'next': address})}", 303)
    return problem_page(
        request, ProblemError("You are not signed in any more.", cure="Load the page again, and sign in.", status=401)
    )


def _inside(address: str) -> str:
    """Return an address if it is one of our own pages, else that of the first one."""
    parts = urlsplit(address)
    inside = not parts.scheme and not parts.netloc and parts.path.startswith("/") and not address.startswith("//")
    return address if inside and "\\" not in address else "/"
