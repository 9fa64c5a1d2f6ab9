"""System: how the services do, what they have loaded, and how much they have to do."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from manypath_services.console.codec_services import Health
from manypath_services.console.pages import Parts, page, parts_of, route
from manypath_services.console.problems import ProblemError
from manypath_services.console.prometheus import QUESTIONS

_MINUTES = (5, 15, 60, 360)


def routes() -> list[BaseRoute]:
    """Return the page's addresses."""
    return [
        route("/system", system),
        route("/system/services", services),
        route("/system/series", series),
        route("/healthz", healthz),
    ]


async def system(request: Request) -> Response:
    """The page."""
    parts = parts_of(request)
    return page(
        parts,
        "system.html",
        here="system",
        questions=QUESTIONS,
        prometheus=parts.settings.prometheus,
        minutes=_MINUTES,
        **await _state(parts),
    )


async def services(request: Request) -> Response:
    """The services, as they are now."""
    parts = parts_of(request)
    return page(parts, "services.html", **await _state(parts))


async def series(request: Request) -> Response:
    """The lines of the charts, as JSON; a problem too."""
    parts = parts_of(request)
    try:
        if parts.prometheus is None:
            raise ProblemError(
                "This console knows no Prometheus.", cure="Set MANYPATH_CONSOLE_PROMETHEUS to where it is.", status=404
            )
        asked = request.query_params.get("minutes", "15")
        minutes = int(asked) if asked.isdecimal() and int(asked) in _MINUTES else _MINUTES[1]
        found = await parts.prometheus.series(minutes)
    except ProblemError as problem:
        words = {"title": problem.title, "cure": problem.cure}
        return JSONResponse(words, problem.status, headers={"cache-control": "no-store"})
    lines = {name: {"times": one.times, "lines": one.lines} for name, one in found.items()}
    return JSONResponse(lines, headers={"cache-control": "no-store"})


async def healthz(_request: Request) -> Response:
    """Whether the console itself answers; what is behind it has a health of its own."""
    return Response("serving\n", media_type="text/plain")


async def _state(parts: Parts) -> Mapping[str, Any]:
    healths: list[Health] = list(
        await asyncio.gather(*(parts.services.health(name) for name in ("encoder", "decoder")))
    )
    serving = {health.name for health in healths if health.serving}
    encoder = await _or_none(parts.services.encoder_capabilities()) if "encoder" in serving else None
    decoder = await _or_none(parts.services.decoder_capabilities()) if "decoder" in serving else None
    differ = bool(encoder and decoder and encoder.model_digest != decoder.model_digest)
    return {"healths": healths, "encoder": encoder, "decoder": decoder, "differ": differ}


async def _or_none(asked: Any) -> Any:
    try:
        return await asked
    except ProblemError:
        return None
