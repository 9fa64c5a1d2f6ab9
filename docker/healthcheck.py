"""Asks a server of this container whether it serves: ``healthcheck.py PORT``; exit code 0 if it does."""

from __future__ import annotations

import sys

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

TIMEOUT_SECONDS = 3.0


def serves(port: int) -> bool:
    """Return whether the whole server reports SERVING; False also if nothing answers in time."""
    options = [("grpc.enable_http_proxy", 0)]  # a container's proxy is not for itself
    with grpc.insecure_channel(f"localhost:{port}", options=options) as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(), timeout=TIMEOUT_SECONDS, wait_for_ready=True
            )
        except grpc.RpcError as err:
            print(err.code(), file=sys.stderr)
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


if __name__ == "__main__":
    sys.exit(0 if serves(int(sys.argv[1])) else 1)
