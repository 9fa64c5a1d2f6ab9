"""A camera's client that reaches its encoder by TLS, with a token."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request

import pytest

from manypath_services.common.tokens import new_token
from tests.services.certificates import Authority
from tests.services.conftest import loop, start  # noqa: F401  (fixtures)
from tests.services.serving import SECONDS

CAMERA = [sys.executable, "-c", "import sys; from manypath_cli.main import main; sys.exit(main())", "camera"]


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path / "authority")


def test_a_cameras_stream_is_let_in_by_tls_with_a_token_and_not_without(start, authority, tmp_path):  # noqa: F811
    token = new_token("gate")
    (tmp_path / "tokens").write_text(token.line)
    (tmp_path / "token").write_text(token.secret)
    spool = {"spool": tmp_path / "spool", "uplink": "127.0.0.1:9"}  # what comes in stays there
    encoder = start("encoder", token_file=tmp_path / "tokens", **spool, **authority.issue("encoder").settings)
    plain = ["--demo", "--every", "0.05", "--encoder", encoder.target, "--metrics-port", "0", "--tls-ca", authority.ca]
    stream = {"grpc_service": encoder.service, "grpc_method": "EncodeStream", "grpc_type": "bidi_stream"}

    def camera(*options):
        command = [*CAMERA, *plain, *options]
        environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path / "state")}
        return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)

    def until(happened, client):
        limit = time.monotonic() + SECONDS
        while not happened():
            assert client.poll() is None, client.stderr.read()
            assert time.monotonic() < limit
            time.sleep(0.05)

    stranger = camera("--spool", tmp_path / "stranger")
    try:
        until(lambda: encoder.value("grpc_server_handled_total", grpc_code="UNAUTHENTICATED", **stream), stranger)
    finally:
        stranger.send_signal(signal.SIGTERM)
        stranger.communicate(timeout=SECONDS)
    known = camera("--spool", tmp_path / "known", "--token-file", tmp_path / "token")
    try:
        until(lambda: encoder.value("manypath_inflight_requests"), known)  # its stream was let in
        page = next(line for line in known.stderr if "metrics at" in line).split()[-1]
        with urllib.request.urlopen(page.replace("/metrics", "/live"), timeout=SECONDS) as live:  # noqa: S310
            assert live.status == 200
    finally:
        known.send_signal(signal.SIGTERM)
        known.communicate(timeout=SECONDS)
    assert known.returncode == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [(["--tls-key", "/nowhere.key"], "belong together"), (["--tls-ca", "/nowhere.pem"], "cannot read /nowhere.pem")],
)
def test_files_that_cannot_be_used_are_named(options, said, tmp_path):
    command = [*CAMERA, "--demo", "--spool", tmp_path, "--metrics-port", "0", *options]
    told = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert told.returncode == 2
    assert said in told.stderr
