"""A real RTSP server of GStreamer, in a process of its own."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

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


class RtspServer:
    """Serves test pictures until closed; ``port`` 0 takes a free one."""

    def __init__(self, port: int = 0, *login: str) -> None:
        self._login = login
        self._start(port)

    def _start(self, port: int) -> None:
        self._process = subprocess.Popen(
            [PYTHON, SERVER, str(port), *self._login], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def freeze(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()

    def again(self) -> None:
        self._start(self.port)

    def close(self) -> None:
        if self._process.poll() is None:
            self.thaw()
        self.kill()
