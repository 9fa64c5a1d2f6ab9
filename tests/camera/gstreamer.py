"""A real RTSP server of GStreamer, in a process of its own."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.camera.peer_process import PeerProcess

SERVER = Path(__file__).resolve().parents[2] / "benchmarks" / "uplink" / "rtsp_server.py"
PYTHON = "/usr/bin/python3"  # Debian's, which has GStreamer's bindings
_PROBE = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"


def why_not() -> str:
    """Return why there is no such server here; empty where there is."""
    try:
        probe = subprocess.run([PYTHON, "-c", _PROBE], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return f"no {PYTHON}"
    return "" if probe.returncode == 0 else "GStreamer's RTSP server is missing: apt install gir1.2-gst-rtsp-server-1.0"


class RtspServer(PeerProcess):
    """Serves test pictures until closed; ``port`` 0 takes a free one."""

    def __init__(self, port: int = 0, *login: str) -> None:
        super().__init__([PYTHON, SERVER], [port], login)

    @property
    def port(self) -> int:
        return self.ports[0]
