"""A camera's server by other people, in a process of its own, which can be frozen, killed and started again."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path


class PeerProcess:
    """Runs until closed.

    Args:
        words: its command line, before its ports.
        ports: 0 takes a free one.
        login: user and password, if it is to want them.

    Attributes:
        ports: that it listens at; the same ones after ``again``.
    """

    def __init__(self, words: Sequence[str | Path], ports: Sequence[int], login: Sequence[str] = ()) -> None:
        self._words = words
        self._login = login
        self._start(ports)

    def _start(self, ports: Sequence[int]) -> None:
        self._process = subprocess.Popen(
            [*self._words, *map(str, ports), *self._login],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        self.ports = [int(port) for port in self._process.stdout.readline().split()]

    def freeze(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()

    def again(self) -> None:
        self._start(self.ports)

    def close(self) -> None:
        if self._process.poll() is None:
            self.thaw()
        self.kill()
