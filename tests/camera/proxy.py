"""A middle box: forwards TCP, counts bytes, and cuts connections when it is told to."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading


class CuttingProxy:
    """Listens on a free port of the loopback interface and forwards to ``target``."""

    def __init__(self, target: str) -> None:
        self.upstream = target
        self.cut_after: int | None = None  # bytes that go up on one connection
        self.refusing = False
        self.connections = 0
        self.cuts = 0
        self._sockets: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.target = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def cut(self) -> None:
        """Reset every connection now."""
        with self._lock:
            sockets, self._sockets = self._sockets, set()
        if sockets:
            self.cuts += 1
        for one in sockets:
            with contextlib.suppress(OSError):
                # a reset, not a farewell
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                one.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join(10)

    def _start(self, work, *arguments) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                down, _ = self._listener.accept()
            except OSError:
                return
            host, _, port = self.upstream.rpartition(":")
            try:
                if self.refusing:
                    raise OSError("refused")
                up = socket.create_connection((host, int(port)), timeout=5)
            except OSError:
                down.close()
                continue
            self.connections += 1
            with self._lock:
                self._sockets |= {down, up}
            self._start(self._forward, down, up, True)
            self._start(self._forward, up, down, False)

    def _forward(self, source: socket.socket, sink: socket.socket, upward: bool) -> None:
        moved = 0
        try:
            while data := source.recv(65536):
                sink.sendall(data)
                moved += len(data)
                if upward and self.cut_after is not None and moved >= self.cut_after:
                    self.cuts += 1
                    break
        except OSError:
            pass
        for one in (source, sink):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        with self._lock:
            self._sockets -= {source, sink}
        if upward:
            return
        source.close()
        sink.close()
