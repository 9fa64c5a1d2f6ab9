"""Cameras: what each live camera sent last, on a path of one's choice, and what waits at the edge."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from manypath_api.v1 import codec_pb2 as pb
from manypath_services.console import wording
from manypath_services.console.cameras import Cameras, Scene, Sighting
from manypath_services.console.choices import read_choices
from manypath_services.console.events import event_stream
from manypath_services.console.pages import page, parts_of, route, unless_gone
from manypath_services.console.paths import path_choices
from manypath_services.console.problems import ProblemError

_CAMERA = re.compile(r"[A-Za-z0-9._-]{1,64}")
_OUTAGE_SECONDS = 3.0  # after which it is told
_SHOWN = 3  # labels, classes or boxes of one task


def routes() -> list[BaseRoute]:
    """Return the page's addresses."""
    return [
        route("/cameras", show),
        route("/cameras/events", events),
        route("/cameras/spool", spool),
        route("/cameras/{camera}/frame.png", frame),
    ]


async def show(request: Request) -> Response:
    """The page; its tiles come by ``events``."""
    parts = parts_of(request)
    paths = await path_choices(parts.services)
    return page(
        parts, "cameras.html", here="cameras", paths=paths, chosen=read_choices(request.query_params).path, spool=None
    )


async def events(request: Request) -> Response:
    """The cameras as they are now, and again as they change: server-sent events."""
    parts = parts_of(request)
    return event_stream(_scenes(parts.cameras), parts.closing)


async def spool(request: Request) -> Response:
    """What waits at the edge, as Prometheus knows it; nothing where there is none."""
    parts = parts_of(request)
    known = await parts.prometheus.spools() if parts.prometheus is not None else None
    return page(parts, "spool.html", spool=known)


async def frame(request: Request) -> Response:
    """The newest frame of a camera along a path."""
    camera = request.path_params["camera"]
    if _CAMERA.fullmatch(camera) is None:
        raise ProblemError("The address names no camera.", cure="Choose one of those on the page.")
    path = read_choices(request.query_params).path
    file = await unless_gone(request, parts_of(request).cameras.picture(camera, path))
    return Response(file, media_type="image/png", headers={"cache-control": "no-store"})


async def _scenes(cameras: Cameras) -> AsyncGenerator[tuple[str, object], None]:
    async with aclosing(cameras.follow()) as scenes:
        async for scene in scenes:
            yield "scene", told_scene(scene)


def told_scene(scene: Scene) -> dict[str, Any]:
    """Return a scene as the page's script wants it, numbers in words."""
    outage = ""
    # a connection that ends of age is made anew within a second or two, which is no news
    if scene.away_seconds is not None and scene.away_seconds > _OUTAGE_SECONDS and scene.problem is not None:
        since = wording.duration(scene.away_seconds)
        outage = f"{scene.problem.title} For {since} now; what is below is what came before."
    return {"outage": outage, "cameras": [_told_camera(sighting) for sighting in scene.cameras]}


def _told_camera(sighting: Sighting) -> dict[str, Any]:
    told = sighting.told
    return {
        "name": told.camera,
        "sequence": told.header.sequence,
        "session": told.session,
        "width": told.facts.width,
        "height": told.facts.height,
        "silent": sighting.silent,
        "age": wording.duration(sighting.age_seconds),
        "rate": f"{wording.size(told.bytes_per_minute)} and {told.frames_per_minute} frames a minute",
        "facts": f"{wording.size(told.facts.bytes)}, {told.facts.bpp:.3f} bpp, quality {told.facts.quality:g}",
        "answers": [{"task": one.task_name, "words": _answer(one)} for one in told.analyzed.results],
    }


def _answer(result: pb.TaskResult) -> str:
    """Return what a worker said, in a line."""
    match result.WhichOneof("answer"):
        case "classification":
            found = [f"{one.name or one.index} {wording.percent(one.score)}" for one in result.classification.labels]
        case "segmentation":
            classes = sorted(result.segmentation.classes, key=lambda one: -one.share)
            found = [f"{one.name or one.index} {wording.percent(one.share)}" for one in classes if one.share]
        case "detection":
            found = [f"{one.name or one.index} {wording.percent(one.score)}" for one in result.detection.boxes]
        case _:
            return "answered"
    more = f", {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return ", ".join(found[:_SHOWN]).replace("_", " ") + more or "nothing"
