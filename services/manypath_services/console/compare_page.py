"""Compare: rate curves of one picture, drawn while they are measured."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from manypath_services.console.curves import Curve
from manypath_services.console.events import event_stream
from manypath_services.console.gallery import PHOTOS
from manypath_services.console.pages import page, parts_of, route
from manypath_services.console.problems import ProblemError


def routes() -> list[BaseRoute]:
    """Return the page's addresses."""
    return [
        route("/compare", compare),
        route("/curves", start, ("POST",)),
        route("/curves/{curve}", cancel, ("DELETE",)),
        route("/curves/{curve}/events", events),
    ]


async def compare(request: Request) -> Response:
    """The page."""
    parts = parts_of(request)
    picture = await parts.gallery.find(request.query_params.get("picture", PHOTOS[0].id))
    return page(parts, "compare.html", here="compare", picture=picture, photos=PHOTOS)


async def start(request: Request) -> Response:
    """Begin to measure; the part that comes back follows it."""
    parts = parts_of(request)
    async with request.form(max_files=0, max_fields=4, max_part_size=2**12) as form:
        picture = await parts.gallery.find(str(form.get("picture", "")))
    curve = await parts.curves.start(picture)
    return page(parts, "curve.html", curve=curve, picture=picture)


async def cancel(request: Request) -> Response:
    """End a measurement early."""
    await parts_of(request).curves.find(request.path_params["curve"]).cancel()
    return Response(status_code=204)


async def events(request: Request) -> Response:
    """The points as they are measured: server-sent events, the last one saying how it ended."""
    parts = parts_of(request)
    curve = parts.curves.find(request.path_params["curve"])
    return event_stream(_curve_events(curve), parts.closing)


async def _curve_events(curve: Curve) -> AsyncGenerator[tuple[str, object], None]:
    done = 0
    async for fresh in curve.follow():
        done += len(fresh)
        yield "points", {"done": done, "total": curve.total, "points": [point._asdict() for point in fresh]}
    problem: ProblemError | None = curve.problem
    yield (
        "end",
        {
            "state": curve.state,
            "title": problem.title if problem else "",
            "cure": problem.cure if problem else "",
        },
    )
