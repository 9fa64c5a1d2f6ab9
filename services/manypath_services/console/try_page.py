"""Try: a picture, what it costs along a path, and what machines still see in it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute

from manypath_services.console.baselines import MEDIA_TYPES, NAMES
from manypath_services.console.choices import LEFTS, RATE_KINDS, Choices, read_choices
from manypath_services.console.gallery import PHOTOS, KeptPicture
from manypath_services.console.layers import layer_file
from manypath_services.console.pages import page, parts_of, route, unless_gone
from manypath_services.console.paths import path_choices
from manypath_services.console.problems import ProblemError
from manypath_services.console.snippets import grpcurl_snippet, python_snippet

_PICTURE_HEADERS = {"cache-control": "private, max-age=600"}  # its address says what it is


def routes() -> list[BaseRoute]:
    """Return the page's addresses."""
    return [
        route("/", show),
        route("/pictures", upload, ("POST",)),
        route("/view", view),
        route("/answers", answers),
        route("/beside", beside),
        route("/pictures/{picture}/original", original),
        route("/pictures/{picture}/rendition.png", rendition),
        route("/pictures/{picture}/stream.mpa", stream),
        route("/pictures/{picture}/layer", layer),
        route("/pictures/{picture}/beside/{codec}", beside_file),
    ]


async def show(request: Request) -> Response:
    """The page; its picture comes by ``view``."""
    query: dict[str, str] = {"picture": PHOTOS[0].id, **request.query_params}
    choices = read_choices(query)
    parts = parts_of(request)
    context = await _controls(request)
    return page(parts, "try.html", here="try", choices=choices, photos=PHOTOS, settings=parts.settings, **context)


async def upload(request: Request) -> Response:
    """Keep a picture and show it as the controls say."""
    parts = parts_of(request)
    async with request.form(max_files=1, max_fields=20, max_part_size=2**12) as form:
        file = form.get("file")
        if not isinstance(file, UploadFile):
            raise ProblemError("No picture came.", cure="Choose a file, drop one onto the page, or paste one.")
        content = await file.read()
        name = file.filename or "picture"
        rest = {key: value for key, value in form.items() if isinstance(value, str)}
    if not content:
        raise ProblemError("The file is empty.", cure="Choose another one.", status=415)
    kept = await parts.gallery.add(content, name)
    choices = read_choices(rest | {"picture": kept.id})
    if request.headers.get("hx-request") != "true":
        return RedirectResponse(f"/?{choices.query}", 303)
    return await _view(request, choices)


async def view(request: Request) -> Response:
    """The picture as the controls say, and what it costs."""
    return await _view(request, read_choices(request.query_params))


async def _view(request: Request, choices: Choices) -> Response:
    parts = parts_of(request)
    picture = await parts.gallery.find(choices.picture)
    made = await unless_gone(request, parts.renditions.rendition(picture, choices.rate, choices.path, choices.share))
    kept = await parts.renditions.stream(picture, choices.rate)
    context = await _controls(request)
    choices = choices._replace(layer=_there(choices.layer, len(made.score_maps), context["tasks"]))
    seconds = [("encoder", stage, spent) for stage, spent in kept.seconds.items()]
    seconds += [("decoder", stage, spent) for stage, spent in made.seconds.items()]
    return page(
        parts,
        "view.html",
        headers={"hx-replace-url": f"/?{choices.query}", "hx-trigger": "shown"},
        choices=choices,
        picture=picture,
        stream=kept,
        made=made,
        seconds=_bars(seconds),
        total=sum(spent for _, _, spent in seconds),
        names=NAMES,
        maps=range(1, len(made.score_maps) + 1),
        grpcurl=grpcurl_snippet(choices, picture.name, parts.settings),
        python=python_snippet(choices, picture.name, parts.settings),
        **context,
    )


async def answers(request: Request) -> Response:
    """What the workers say of the picture."""
    choices = read_choices(request.query_params)
    parts = parts_of(request)
    picture = await parts.gallery.find(choices.picture)
    tasks = list((await parts.services.decoder_capabilities()).task_names)
    if not tasks:
        return page(parts, "answers.html", results=(), choices=choices)
    found = await unless_gone(request, parts.renditions.answers(picture, choices.rate, tasks, choices.share))
    return page(parts, "answers.html", results=found.results, choices=choices)


async def beside(request: Request) -> Response:
    """The picture in other formats, of as many bytes."""
    choices = read_choices(request.query_params)
    parts = parts_of(request)
    picture = await parts.gallery.find(choices.picture)

    async def work() -> list[Any]:
        kept = await parts.renditions.stream(picture, choices.rate)
        return [await parts.baselines.at_bytes(picture, codec, kept.facts.bytes) for codec in MEDIA_TYPES]

    found = await unless_gone(request, work())
    made = await parts.renditions.rendition(picture, choices.rate, choices.path, choices.share)
    kept = await parts.renditions.stream(picture, choices.rate)
    return page(parts, "beside.html", found=found, names=NAMES, made=made, stream=kept)


async def original(request: Request) -> Response:
    """The picture as the encoder reads it."""
    picture = await parts_of(request).gallery.find(request.path_params["picture"])
    return _file(picture.shown, picture.media_type)


async def rendition(request: Request) -> Response:
    """The picture that a path makes."""
    choices, picture = await _asked(request)
    made = await parts_of(request).renditions.rendition(picture, choices.rate, choices.path, choices.share)
    return _file(made.file, "image/png")


async def stream(request: Request) -> Response:
    """The bitstream, to be taken home."""
    choices, picture = await _asked(request)
    kept = await parts_of(request).renditions.stream(picture, choices.rate)
    name = picture.name.rpartition(".")[0] or picture.name
    ascii_name = name.encode("ascii", "replace").decode().replace("?", "_")
    headers = {"content-disposition": f'attachment; filename="{ascii_name}.mpa"'}
    return Response(kept.data, media_type="application/octet-stream", headers=headers)


async def layer(request: Request) -> Response:
    """What lies over the picture."""
    choices, picture = await _asked(request)
    file, media_type = await layer_file(parts_of(request), picture, choices)
    return _file(file, media_type)


async def beside_file(request: Request) -> Response:
    """The picture in another format, of as many bytes as the stream."""
    choices, picture = await _asked(request)
    codec = request.path_params["codec"]
    if codec not in MEDIA_TYPES:
        raise ProblemError(
            f"There is no format “{codec[:20]}” here.", cure=f"Known are {', '.join(MEDIA_TYPES)}.", status=404
        )
    parts = parts_of(request)
    kept = await parts.renditions.stream(picture, choices.rate)
    found = await unless_gone(request, parts.baselines.at_bytes(picture, codec, kept.facts.bytes))
    return _file(found.file, MEDIA_TYPES[codec])


async def _asked(request: Request) -> tuple[Choices, KeptPicture]:
    choices = read_choices({**request.query_params, "picture": request.path_params["picture"]})
    return choices, await parts_of(request).gallery.find(choices.picture)


async def _controls(request: Request) -> dict[str, Any]:
    """Return what the controls can offer; without a decoder, what is always there."""
    parts = parts_of(request)
    try:
        tasks = set((await parts.services.decoder_capabilities()).task_names)
    except ProblemError:
        tasks = set()
    return {
        "paths": await path_choices(parts.services),
        "tasks": tasks,
        "lefts": LEFTS,
        "left_names": {"original": "original", **NAMES},
        "rate_kinds": RATE_KINDS,
    }


def _there(layer: str, maps: int, tasks: set[str]) -> str:
    """Return the layer that is wanted where there is one of this picture."""
    kind, _, place = layer.partition("-")
    there = {
        "score": place.isdecimal() and int(place) <= maps,
        "mask": "segmentation" in tasks,
        "boxes": "detection" in tasks,
    }
    return layer if there.get(kind, True) else ""


def _bars(seconds: list[tuple[str, str, float]]) -> Sequence[Mapping[str, object]]:
    """Return the stages as bars of a line that is 1000 wide, in their order."""
    whole = math.fsum(spent for _, _, spent in seconds) or 1.0
    bars, at = [], 0.0
    for service, stage_name, spent in seconds:
        width = 1000 * spent / whole
        bars.append(
            {"service": service, "stage": stage_name, "seconds": spent, "x": round(at, 1), "width": round(width, 1)}
        )
        at += width
    return bars


def _file(content: bytes, media_type: str) -> Response:
    return Response(content, media_type=media_type, headers=_PICTURE_HEADERS)
