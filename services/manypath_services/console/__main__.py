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
    """
    from manypath_services.common.metrics import MetricsServer
    from manypath_services.common.server import until_signal
    from manypath_services.console.metrics import ConsoleMetrics
    from manypath_services.console.server import PageServer

    version = entry.version()
    metrics = ConsoleMetrics(version)
    metrics_server = MetricsServer(metrics, settings.host, settings.metrics_port)
    server = PageServer(settings, version, metrics)
    try:
        await server.start()
        _log.info("listening", extra={"port": server.port, "metrics_port": metrics_server.port})
        await until_signal()
    finally:
        await server.stop()
        await asyncio.to_thread(metrics_server.close)


def main() -> int:
    """Return the process's exit code."""
    return entry.run("console", ConsoleSettings, serve)


if __name__ == "__main__":
    sys.exit(main())
