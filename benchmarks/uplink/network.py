"""Two sites and a link between them, as network namespaces of this machine."""

from __future__ import annotations

import array
import contextlib
import fcntl
import os
import socket
import struct
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.uplink.link import Conditions

EDGE, CLOUD = "edge", "cloud"
ADDRESSES = {EDGE: "10.77.0.1", CLOUD: "10.77.0.2"}
_ROOT = Path(__file__).resolve().parents[2]
_SIOCETHTOOL = 0x8946
# Offloading leaves checksums to hardware that is not there, and packs packets larger than the link carries.
_OFFLOADS_OFF = (0x17, 0x1F, 0x24, 0x2C)  # ETHTOOL_STXCSUM, STSO, SGSO, SGRO


def why_not() -> str:
    """Return why there can be no namespaces here; empty where there can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    try:
        probe = f"mp-probe-{os.getpid()}"
        made = subprocess.run(["ip", "netns", "add", probe], capture_output=True, text=True, check=False)
        subprocess.run(["ip", "netns", "del", probe], capture_output=True, check=False)
    except FileNotFoundError:
        return "iproute2 is not installed"
    return made.stderr.strip()


class Network:
    """Namespaces ``edge`` and ``cloud`` with a link between them; a context manager.

    Args:
        conditions: of the link at the start.
    """

    def __init__(self, conditions: Conditions | None = None) -> None:
        self._tag = f"mp{os.getpid()}"
        self._conditions = conditions or Conditions()
        self._link: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self._build()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._remove()

    def inside(self, site: str) -> list[str]:
        """Return the words that run a command at a site."""
        return ["ip", "netns", "exec", f"{self._tag}-{site}"]

    def become(self, conditions: Conditions) -> None:
        """Change the link."""
        assert self._link is not None
        assert self._link.stdin is not None
        self._link.stdin.write(conditions.line().encode())
        self._link.stdin.flush()

    def _build(self) -> None:
        for site in (EDGE, CLOUD, "link"):
            _ip("netns", "add", f"{self._tag}-{site}")
        for site in (EDGE, CLOUD):
            inner, outer = "up0", f"to-{site}"
            namespaces = [
                "netns",
                f"{self._tag}-{site}",
                "type",
                "veth",
                "peer",
                "name",
                outer,
                "netns",
                f"{self._tag}-link",
            ]
            _ip("link", "add", inner, *namespaces)
            _ip("-n", f"{self._tag}-{site}", "addr", "add", f"{ADDRESSES[site]}/24", "dev", inner)
            _ip("-n", f"{self._tag}-{site}", "link", "set", "lo", "up")
            _ip("-n", f"{self._tag}-{site}", "link", "set", inner, "up")
            _ip("-n", f"{self._tag}-link", "link", "set", outer, "up")
            offloads = [*self.inside(site), sys.executable, "-m", "benchmarks.uplink.network", inner]
            subprocess.run(offloads, check=True, cwd=_ROOT)
        words = [*self.inside("link"), sys.executable, "-m", "benchmarks.uplink.link", "to-edge", "to-cloud"]
        self._link = subprocess.Popen(words, stdin=subprocess.PIPE, cwd=_ROOT)
        self.become(self._conditions)

    def _remove(self) -> None:
        if self._link is not None and self._link.stdin is not None:
            self._link.stdin.close()
            self._link.wait(10)
        for site in (EDGE, CLOUD, "link"):
            subprocess.run(["ip", "netns", "del", f"{self._tag}-{site}"], capture_output=True, check=False)


def switch_offloading_off(interface: str) -> None:
    """Have the kernel do at once what it would leave to a network card."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for command in _OFFLOADS_OFF:
            value = array.array("B", struct.pack("II", command, 0))
            request = struct.pack("16sP", interface.encode(), value.buffer_info()[0])
            with contextlib.suppress(OSError):  # a kernel that lacks one of them does not do it either
                fcntl.ioctl(control, _SIOCETHTOOL, request)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


if __name__ == "__main__":
    switch_offloading_off(sys.argv[1])
