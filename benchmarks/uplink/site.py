"""The processes of both sites, on their ends of the link: camera, encoder and decoder, killed and started again."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import IO, NamedTuple, Self

import psutil

from benchmarks.uplink.network import ADDRESSES, CLOUD, EDGE, Network

RTSP_PORT = 8554
_NICENESS = "5"
_ROOT = Path(__file__).resolve().parents[2]
_ENCODER, _DECODER, _MIDDLE_BOX, _METRICS = 50051, 50052, 50060, 9104


def envoy_program() -> str | None:
    """Return where Envoy is: on the path, or where `make camera-peers` puts it; None where it is not."""
    return shutil.which("envoy") or shutil.which("envoy", path=_ROOT / ".venv-camera-peers" / "bin")


class Usage(NamedTuple):
    """What a part used since it was first started, restarts included.

    Attributes:
        cpu_seconds: of all its processes.
        memory_bytes: resident, of the one that runs.
    """

    cpu_seconds: float
    memory_bytes: int


class Sites:
    """Everything that runs; a context manager.

    Args:
        network: to run in.
        folder: for spools, results and logs.
        model: of the codec.
        cameras: a YAML file of cameras.
        middle_box: whether an Envoy stands before the decoder, which cuts every stream after its default of 15 s.
        rtsp: whether there is an RTSP server at the edge; Debian's GStreamer brings it.
    """

    def __init__(
        self, network: Network, folder: Path, *, model: str, cameras: Path, middle_box: bool = False, rtsp: bool = False
    ) -> None:
        self._network = network
        self._folder = folder
        self._model = model
        self._cameras = cameras
        self._middle_box = middle_box
        self._rtsp = rtsp
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._used: dict[str, float] = {}
        self._logs: list[IO[bytes]] = []

    @property
    def results(self) -> Path:
        """The decoder's result sink."""
        return self._folder / "results.jsonl"

    @property
    def frames_spool(self) -> Path:
        """The camera client's spool."""
        return self._folder / "camera" / "frames"

    @property
    def bitstreams_spool(self) -> Path:
        """The encoder's spool."""
        return self._folder / "uplink"

    def __enter__(self) -> Self:
        if self._middle_box:
            self.start("envoy")
        if self._rtsp:
            self.start("rtsp")
        for part in ("decoder", "encoder", "camera"):
            self.start(part)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for part in ("camera", "encoder", "decoder", "envoy", "rtsp"):
            self._end(part, signal.SIGTERM)
        for log in self._logs:
            log.close()

    def start(self, part: str) -> None:
        """Start a part."""
        site = EDGE if part in {"camera", "encoder", "rtsp"} else CLOUD
        log = (self._folder / f"{part}.log").open("ab")
        self._logs.append(log)
        words = [*self._network.inside(site), "nice", "-n", _NICENESS, *self._command(part)]
        environment = os.environ | self._environment(part) | {"OMP_WAIT_POLICY": "PASSIVE"}
        self._processes[part] = subprocess.Popen(
            words, cwd=_ROOT, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL
        )

    def kill(self, part: str) -> None:
        """End a part as the power's failure would."""
        self._end(part, signal.SIGKILL)

    def usage(self, part: str) -> Usage:
        """Return what a part used until now."""
        process = psutil.Process(self._processes[part].pid)
        spent = process.cpu_times()
        return Usage(self._used.get(part, 0.0) + spent.user + spent.system, int(process.memory_info().rss))

    def wire_bytes(self) -> int:
        """Return bytes that the edge sent over the link, headers of every layer included."""
        words = [*self._network.inside(EDGE), "cat", "/sys/class/net/up0/statistics/tx_bytes"]
        return int(subprocess.run(words, capture_output=True, check=True).stdout)

    def _end(self, part: str, how: signal.Signals) -> None:
        process = self._processes.get(part)
        if process is None or process.poll() is not None:
            return
        self._used[part] = self.usage(part).cpu_seconds
        process.send_signal(how)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _command(self, part: str) -> list[str]:
        if part == "envoy":
            return [envoy_program() or "envoy", "--log-level", "error", "--config-yaml", _envoy()]
        if part == "rtsp":
            return ["/usr/bin/python3", str(_ROOT / "benchmarks/uplink/rtsp_server.py"), str(RTSP_PORT)]
        if part != "camera":
            return [sys.executable, "-m", f"manypath_services.{part}"]
        spool = ["--spool", str(self._folder / "camera"), "--metrics-port", str(_METRICS)]
        encoder = ["--encoder", f"127.0.0.1:{_ENCODER}"]
        return [sys.executable, "-m", "manypath_cli", "camera", str(self._cameras), *spool, *encoder]

    def _environment(self, part: str) -> dict[str, str]:
        decoder = f"{ADDRESSES[CLOUD]}:{_MIDDLE_BOX if self._middle_box else _DECODER}"
        path = {"PYTHONPATH": os.pathsep.join(str(_ROOT / folder) for folder in ("src", "services", "."))}
        return path | {
            "encoder": {
                "MANYPATH_ENCODER_HOST": "127.0.0.1",
                "MANYPATH_ENCODER_PORT": str(_ENCODER),
                "MANYPATH_ENCODER_MODEL": self._model,
                "MANYPATH_ENCODER_UPLINK": decoder,
                "MANYPATH_ENCODER_SPOOL": str(self.bitstreams_spool),
                "MANYPATH_ENCODER_SPOOL_MIN_FREE_BYTES": "0",
            },
            "decoder": {
                "MANYPATH_DECODER_HOST": ADDRESSES[CLOUD],
                "MANYPATH_DECODER_PORT": str(_DECODER),
                "MANYPATH_DECODER_MODEL": self._model,
                "MANYPATH_DECODER_INSECURE": "true",
                "MANYPATH_DECODER_DRAIN_SECONDS": "0",
                "MANYPATH_DECODER_RESULTS_FILE": str(self.results),
                "MANYPATH_DECODER_SESSIONS_FILE": str(self._folder / "sessions.sqlite"),
            },
        }.get(part, {})


def _envoy() -> str:
    """Return a plain proxy for HTTP/2, with Envoy's default of 15 s for every call, streams included."""
    address = ADDRESSES[CLOUD]
    protocol = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    manager = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
    router = "envoy.extensions.filters.http.router.v3.Router"
    return f"""
static_resources:
  listeners:
  - address: {{socket_address: {{address: {address}, port_value: {_MIDDLE_BOX}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/{manager}
          stat_prefix: cameras
          codec_type: HTTP2
          route_config:
            virtual_hosts:
            - name: decoder
              domains: ["*"]
              routes: [{{match: {{prefix: "/"}}, route: {{cluster: decoder}}}}]
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {{"@type": type.googleapis.com/{router}}}
  clusters:
  - name: decoder
    type: STATIC
    typed_extension_protocol_options:
      {protocol}:
        "@type": type.googleapis.com/{protocol}
        explicit_http_config: {{http2_protocol_options: {{}}}}
    load_assignment:
      cluster_name: decoder
      endpoints:
      - lb_endpoints:
        - endpoint: {{address: {{socket_address: {{address: {address}, port_value: {_DECODER}}}}}}}
"""
