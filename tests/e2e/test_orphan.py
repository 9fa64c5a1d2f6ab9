"""What a demo started ends with it, even where the demo had no chance to say so."""

from __future__ import annotations

import os
import select
import subprocess
import sys

from tests.services.serving import SECONDS

PARENT = """
import sys
from manypath_cli.service_process import ServiceProcess

service = ServiceProcess("worker", {"models": sys.argv[1]})
print(service.pid, service.ports().grpc, flush=True)
sys.stdin.read()
"""


def test_a_service_ends_when_its_parent_is_killed(models):
    command = [sys.executable, "-c", PARENT, models]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        try:
            service, _port = (int(word) for word in parent.stdout.readline().split())
            ended = os.pidfd_open(service)
        finally:
            parent.kill()
    waiting = select.poll()
    waiting.register(ended, select.POLLIN)
    try:
        assert waiting.poll(1000 * SECONDS), "the worker goes on without its parent"
    finally:
        os.close(ended)
