"""What all pages have in common: templates, the shell around a page, problems in words, and callers who go away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from manypath_services.common.tokens import TokenFile
from manypath_services.console import wording
from manypath_services.console.baselines import Baselines
from manypath_services.console.cameras import Cameras
from manypath_services.console.codec_services import CodecServices
from manypath_services.console.curves import Curves
from manypath_services.console.gallery import Gallery
from manypath_services.console.metrics import ConsoleMetrics
from manypath_services.console.problems import ProblemError
from manypath_services.console.prometheus import Prometheus
from manypath_services.console.renditions import Renditions
from manypath_services.console.settings import ConsoleSettings

FOLDER = Path(__file__).parent
_GONE = 499  # nobody reads it: the caller hung up
_Made = TypeVar("_Made")
_Handler = Callable[[Request], Awaitable[Response]]


class Parts(NamedTuple):
    """What pages are made from.

    Attributes:
        settings: of the console.
        version: of this software.
        metrics: where answers are counted.
        services: the encoder and the decoder.
        gallery: pictures that are kept.
        renditions: what the services made of them.
        baselines: the other formats.
        curves: rate curves under way.
        cameras: live ones.
        prometheus: None where there is none.
        tokens: of those who may sign in; None where everyone may.
        closing: set when the console is about to end; streams of events end then.
    """

    settings: ConsoleSettings
    version: str
    metrics: ConsoleMetrics
    services: CodecServices
    gallery: Gallery
    renditions: Renditions
    baselines: Baselines
    curves: Curves
    cameras: Cameras
    prometheus: Prometheus | None
    tokens: TokenFile | None
    closing: asyncio.Event


class GoneError(Exception):
    """The caller hung up before there was an answer."""


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        size=wording.size,
        decibels=wording.decibels,
        milliseconds=wording.milliseconds,
        percent=wording.percent,
        stage=wording.stage,
        duration=wording.duration,
    )
    return environment


_TEMPLATES = _environment()


def page(
    parts: Parts, template: str, *, status: int = 200, headers: dict[str, str] | None = None, **context: Any
) -> Response:
    """Return a page, or a part of one."""
    shell = {"version": parts.version, "grafana": parts.settings.grafana}
    text = _TEMPLATES.get_template(template).render(shell | context)
    return HTMLResponse(text, status, headers={"cache-control": "no-store"} | (headers or {}))


def parts_of(request: Request) -> Parts:
    """Return what pages are made from."""
    parts: Parts = request.app.state.parts
    return parts


def route(path: str, handler: _Handler, methods: tuple[str, ...] = ("GET",)) -> Route:
    """Return a route whose problems are told in words, in the shape that was asked for."""

    async def handle(request: Request) -> Response:
        begun = time.perf_counter()
        try:
            response = await handler(request)
        except GoneError:
            response = Response(status_code=_GONE)
        except ProblemError as problem:
            response = problem_page(request, problem)
        parts = parts_of(request)
        parts.metrics.answers.labels(handler.__name__, response.status_code).observe(time.perf_counter() - begun)
        parts.metrics.kept_bytes.set(parts.gallery.size)
        return response

    return Route(path, handle, methods=list(methods), name=handler.__name__)


def problem_page(request: Request, problem: ProblemError) -> Response:
    """Return a problem as a part of a page where htmx asks, else as a page."""
    whole = request.headers.get("hx-request") != "true"
    again = "" if request.method != "GET" else f"{request.url.path}?{request.url.query}"
    return page(
        parts_of(request),
        "problem_page.html" if whole else "problem.html",
        status=problem.status,
        problem=problem,
        again=again,
        here="",
    )


async def unless_gone(request: Request, work: Coroutine[Any, Any, _Made]) -> _Made:
    """Return what ``work`` makes; cancel it where the caller hangs up, as a slider does that moves on.

    Raises:
        GoneError: the caller hung up.
    """

    async def hung_up() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    task, watch = asyncio.ensure_future(work), asyncio.ensure_future(hung_up())
    try:
        await asyncio.wait((task, watch), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise GoneError
    finally:
        for one in (task, watch):
            one.cancel()
        await asyncio.gather(task, watch, return_exceptions=True)
