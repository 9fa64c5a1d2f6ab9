"""Our services as processes of this machine: started on free ports, awaited, and ended without losing a call."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from types import TracebackType
from typing import NamedTuple, Self

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from manypath.errors import ManypathError
from manypath_services.common.client import open_blocking_channel

_HOST = "127.0.0.1"
_LAST_SECONDS = 1.0  # of a process whose connection has ended
_KEPT_LINES = 5000  # of each process's log


class ServiceProcessError(ManypathError):
    """A service did not start, did not become ready, or did not end."""


class Ports(NamedTuple):
    """Where a service listens.

    Attributes:
        grpc: of its calls.
        metrics: of its HTTP ``/metrics``.
    """

    grpc: int
    metrics: int


class ServiceProcess:
    """One service in a process of its own, on free ports of the loopback interface.

    Args:
        service: "encoder", "decoder" or "worker".
        settings: as ``MANYPATH_<SERVICE>_*`` has them, names in lower case. The environment's settings of this
            service are left out: what is started here is what is written here.
        module: that runs it, told its name; one that measures it as well can stand here.

    Attributes:
        service: its name.
        log: its last lines, as they came.
    """

    def __init__(
        self, service: str, settings: Mapping[str, object], *, module: str = "manypath_cli.service_child"
    ) -> None:
        self.service = service
        self.log: list[str] = []
        prefix = f"MANYPATH_{service.upper()}_"
        environment = {name: value for name, value in os.environ.items() if not name.startswith(prefix)}
        told = {"host": _HOST, "port": 0, "metrics_port": 0, "drain_seconds": 0, **settings}
        environment |= {f"{prefix}{name.upper()}": str(value) for name, value in told.items()}
        self._ports: Future[Ports] = Future()
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, service],
            env=environment | {"OMP_WAIT_POLICY": "PASSIVE"},
            stdin=subprocess.PIPE,  # never written: it closes when this process ends, and the service ends as well
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # an interrupt of ours is not theirs: we end them in order
        )
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop(timeout_seconds=60 if error is None else 5)

    def ports(self, timeout_seconds: float = 60) -> Ports:
        """Return where it listens, as soon as it does.

        Raises:
            ServiceProcessError: it ended instead.
        """
        try:
            return self._ports.result(timeout_seconds)
        except TimeoutError as err:
            raise self._error(f"did not listen within {timeout_seconds:.0f} s") from err

    @property
    def target(self) -> str:
        """Address of its calls."""
        return f"{_HOST}:{self.ports().grpc}"

    @property
    def metrics_url(self) -> str:
        """Address of its metrics."""
        return f"http://{_HOST}:{self.ports().metrics}/metrics"

    @property
    def pid(self) -> int:
        """Number of its process."""
        return self._process.pid

    def wait_ready(self, timeout_seconds: float = 120) -> None:
        """Return when its health is SERVING.

        Raises:
            ServiceProcessError: it ended, or that took too long.
        """
        serving = health_pb2.HealthCheckResponse.SERVING
        with open_blocking_channel(f"{_HOST}:{self.ports(timeout_seconds).grpc}", ()) as channel:
            watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), timeout=timeout_seconds)
            try:
                while next(watch).status != serving:
                    pass
            except grpc.RpcError as err:
                raise self._error(self._why_not_ready(err, timeout_seconds)) from err
            watch.cancel()

    def _why_not_ready(self, error: grpc.RpcError, timeout_seconds: float) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_LAST_SECONDS)  # its connection ends a little before it does
            return f"ended with exit code {self._process.returncode} before it was ready"
        if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
            return f"was not ready within {timeout_seconds:.0f} s"
        return f"cannot be asked whether it is ready: {error.details()}"

    def terminate(self) -> None:
        """Ask it to end; it finishes what it accepted."""
        self._process.send_signal(signal.SIGTERM)

    def stop(self, timeout_seconds: float = 60) -> int:
        """Ask it to end, wait, and return its exit code; kill it where it does not."""
        if self._process.poll() is None:
            self.terminate()
        try:
            code = self._process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._reader.join()
        if self._process.stdin is not None:
            self._process.stdin.close()
        return code

    def _read_log(self) -> None:
        stream = self._process.stderr
        if stream is None:
            return
        with stream:
            for line in stream:
                self.log.append(line.rstrip("\n"))
                del self.log[:-_KEPT_LINES]
                if not self._ports.done() and '"listening"' in line:
                    told = json.loads(line)
                    self._ports.set_result(Ports(told["port"], told["metrics_port"]))
        if not self._ports.done():
            self._ports.set_exception(self._error("ended before it listened"))

    def _error(self, what: str) -> ServiceProcessError:
        last = "\n".join(self.log[-10:])
        return ServiceProcessError(f"the {self.service} {what}; its last words:\n{last}")
