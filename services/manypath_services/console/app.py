"""The console's application: its pages behind one guard, and the life of what they use."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from manypath_services.common.tokens import TokenFile
from manypath_services.console import cameras_page, compare_page, signin, system_page, try_page
from manypath_services.console.baselines import Baselines
from manypath_services.console.cameras import Cameras
from manypath_services.console.codec_services import CodecServices
from manypath_services.console.curves import Curves
from manypath_services.console.gallery import Gallery
from manypath_services.console.metrics import ConsoleMetrics
from manypath_services.console.pages import FOLDER, Parts, problem_page
from manypath_services.console.problems import ProblemError
from manypath_services.console.prometheus import Prometheus
from manypath_services.console.renditions import Renditions
from manypath_services.console.security import Guard
from manypath_services.console.settings import ConsoleSettings

_FORM_BYTES = 2**16  # around the file of an upload


def build(settings: ConsoleSettings, version: str, metrics: ConsoleMetrics, closing: asyncio.Event) -> Starlette:
    """Return the application.

    Args:
        settings: of the console.
        version: of this software.
        metrics: where answers are counted.
        closing: set when the console is about to end.

    Raises:
        TokenFileError: the file of tokens makes no sense.
    """
    tokens = TokenFile(settings.token_file) if settings.token_file else None

    @asynccontextmanager
    async def life(app: Starlette) -> AsyncIterator[None]:
        services = CodecServices(settings, metrics)
        renditions = Renditions(services)
        baselines = Baselines(settings.processes)
        curves = Curves(services, renditions, baselines, settings.curves_limit)
        cameras = Cameras(services)
        prometheus = Prometheus(settings.prometheus) if settings.prometheus else None
        gallery = Gallery(
            max_pixels=settings.max_pixels, kept_bytes=settings.kept_bytes, kept_seconds=settings.kept_seconds
        )
        app.state.parts = Parts(
            settings,
            version,
            metrics,
            services,
            gallery,
            renditions,
            baselines,
            curves,
            cameras,
            prometheus,
            tokens,
            closing,
        )
        try:
            yield
        finally:
            await curves.close()
            await cameras.close()
            await services.close()
            if prometheus is not None:
                await prometheus.close()
            await asyncio.to_thread(baselines.close)

    return Starlette(
        routes=[
            *try_page.routes(),
            *compare_page.routes(),
            *cameras_page.routes(),
            *system_page.routes(),
            *signin.routes(),
            Mount("/static", StaticFiles(directory=FOLDER / "static"), name="static"),
            Mount("/photos", StaticFiles(directory=FOLDER / "photos"), name="photos"),
        ],
        middleware=[  # the first is the outermost
            Middleware(Guard, names=settings.accepted_names, max_body_bytes=settings.max_upload_bytes + _FORM_BYTES),
            Middleware(signin.SignIn, tokens=tokens),
        ],
        exception_handlers={HTTPException: _refused},
        lifespan=life,
    )


async def _refused(request: Request, error: Exception) -> Response:
    """Tell what Starlette refuses as our own problems are told."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    if status == 404:
        problem = ProblemError("There is no such page.", cure="The pages are named above.", status=404)
    else:
        detail = str(getattr(error, "detail", ""))
        problem = ProblemError(
            "This cannot be asked for.", cure="Use the controls of the pages.", detail=detail, status=status
        )
    return problem_page(request, problem)
