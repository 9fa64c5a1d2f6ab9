"""What a service has loaded is no longer gone over by the garbage collector, which would stop every call meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.services.serving import MODEL, SECONDS

SERVE = """
import asyncio, gc, importlib, os, signal, sys
from manypath_services.common import entry

service = importlib.import_module(f"manypath_services.{sys.argv[1]}.__main__")
serve = service.serve

async def watched(settings):
    async def watch():
        while gc.get_freeze_count() < 10_000:
            await asyncio.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.gather(serve(settings), watch())

service.serve = watched
sys.exit(service.main())
"""


@pytest.mark.parametrize("service", ["encoder", "decoder", "worker"])
def test_what_is_loaded_is_frozen(service, models):
    told = {"PORT": "0", "METRICS_PORT": "0", "DRAIN_SECONDS": "0"}
    told |= {"MODELS": str(models)} if service == "worker" else {"MODEL": str(MODEL)}
    environment = os.environ | {f"MANYPATH_{service.upper()}_{name}": value for name, value in told.items()}
    run = subprocess.run(
        [sys.executable, "-c", SERVE, service], env=environment, capture_output=True, timeout=SECONDS, check=False
    )
    assert run.returncode == 0, run.stderr.decode()
