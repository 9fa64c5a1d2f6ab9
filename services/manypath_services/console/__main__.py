"""Runs the console: ``python -m manypath_services.console``, told what to do by ``MANYPATH_CONSOLE_*``."""

from __future__ import annotations

import asyncio
import logging
import sys

from manypath_services.common import entry
from manypath_services.console.settings import ConsoleSettings

_log = logging.getLogger(__name__)


async def serve(settings: ConsoleSettings) -> None:
    """Serve pages until a signal; what is under way is finished.

    Raises:
        OSError: a port is taken.
        TlsError, TokenFileError: certificates or tokens cannot be used.
    """
    from manypath_services.common.metrics_server import MetricsServer
    from manypath_services.common.server import until_signal
    from manypath_services.console.metrics import ConsoleMetrics
    from manypath_services.console.server import PageServer

    version = entry.version()
    metrics = ConsoleMetrics(version)
    server = PageServer(settings, version, metrics)
    watchers: MetricsServer | None = None
    try:
        await server.start()
        if settings.metrics:
            watchers = MetricsServer(
                metrics, settings.metrics_host, settings.metrics_port, ready=lambda: True, live=lambda: True
            )
        ports = {"port": server.port, "metrics_port": watchers.port if watchers else 0}
        _log.info("listening", extra=ports)
        await until_signal(settings)
    finally:
        await server.stop()
        if watchers is not None:
            await asyncio.to_thread(watchers.close)


def main() -> int:
    """Return the process's exit code."""
    return entry.run("console", ConsoleSettings, serve)


if __name__ == "__main__":
    sys.exit(main())
