"""How a service process begins and ends: settings, logs, exit codes."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from typing import TypeVar

from manypath_services.common import logs, process, tracing
from manypath_services.common.errors import TlsError, TokenFileError
from manypath_services.common.settings import ServiceSettings, SettingsError

EXIT_STARTED = 0
EXIT_CANNOT_START = 1
_LAST_LINES_SECONDS = 1.0  # for the log to be written; nobody may be reading it

_log = logging.getLogger(__name__)
_Settings = TypeVar("_Settings", bound=ServiceSettings)


class StartError(Exception):
    """What stops start-up and needs no stack trace to be understood."""


def run(service: str, settings_class: type[_Settings], serve: Callable[[_Settings], Awaitable[None]]) -> int:
    """Run a service until a signal ends it.

    Args:
        service: "encoder", "decoder" or "worker".
        settings_class: read from the environment.
        serve: starts, serves until a signal, and stops; imports what computes only when called.

    Returns:
        1 if it could not start. After a signal it does not return: the process ends with 0.
    """
    try:
        settings = settings_class.load()
    except SettingsError as err:
        print(f"{service}: {err}", file=sys.stderr)  # noqa: T201  (there is no log yet)
        return EXIT_CANNOT_START
    process.prepare(settings.threads)
    log = logs.configure(service, settings.log_level)

    async def body() -> None:
        await serve(settings)

    recorder = None
    try:
        recorder = _trace(service, settings)
        asyncio.run(body())
    except (OSError, StartError, TlsError, TokenFileError) as err:
        _log.error("cannot start: %s", err)
        return EXIT_CANNOT_START
    finally:
        if recorder is not None:
            recorder.close()
        log.drain(_LAST_LINES_SECONDS)
    return process.leave(EXIT_STARTED)


def _trace(service: str, settings: ServiceSettings) -> tracing.Recorder | None:
    if not settings.tracing:
        return None
    try:
        recorder = tracing.otlp_recorder(service, settings.tracing, ratio=settings.tracing_ratio, version=version())
    except ImportError as err:
        raise StartError(f"tracing needs a package that is not here ({err}); install the extra 'tracing'") from err
    tracing.configure(recorder)
    return recorder


def version() -> str:
    """Return this software's version."""
    try:
        return installed_version("manypath")
    except PackageNotFoundError:
        return "0+uninstalled"
