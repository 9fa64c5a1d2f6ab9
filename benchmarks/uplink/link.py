"""A bad link in user space: forwards Ethernet frames between two interfaces with delay, loss, a rate and reordering.

Many kernels have no netem; raw sockets are always there. ``python -m benchmarks.uplink.link A B`` reads conditions as
JSON lines from standard input, at any time, and applies them to what comes from then on; it ends when that closes.
"""

from __future__ import annotations

import heapq
import json
import os
import random
import select
import socket
import sys
import time
from dataclasses import asdict, dataclass

_ALL_PROTOCOLS = 3  # ETH_P_ALL
_OUTGOING = 4  # PACKET_OUTGOING: what we sent ourselves
_MOST_QUEUED_SECONDS = 1.0  # of a rate-limited direction; what comes beyond is dropped, as a router's full queue does
_REORDERED_SECONDS = 0.05  # by which a reordered packet is held back


@dataclass(frozen=True)
class Conditions:
    """What the link does, each way.

    Attributes:
        delay_seconds: of each packet.
        loss: share of packets lost.
        bits_per_second: 0 is without limit.
        reorder: share of packets that later ones overtake.
        down: nothing passes.
    """

    delay_seconds: float = 0.0
    loss: float = 0.0
    bits_per_second: float = 0.0
    reorder: float = 0.0
    down: bool = False

    def line(self) -> str:
        """Return them as a line for the link's input."""
        return json.dumps(asdict(self)) + "\n"


class Link:
    """Forwards between two interfaces of this network namespace.

    Args:
        interfaces: their names.
        seed: of what is lost and reordered.
    """

    def __init__(self, interfaces: tuple[str, str], seed: int = 1) -> None:
        self.conditions = Conditions()
        self._sockets = [_packets(name) for name in interfaces]
        self._free_at = [0.0, 0.0]
        self._queue: list[tuple[float, int, int, bytes]] = []
        self._count = 0
        self._chance = random.Random(seed)

    def run(self, control: int) -> None:
        """Forward until ``control``, a file descriptor, closes."""
        pending = b""
        while True:
            patience = max(0.0, self._queue[0][0] - time.monotonic()) if self._queue else 1.0
            descriptors = [control, *(one.fileno() for one in self._sockets)]
            ready, _, _ = select.select(descriptors, [], [], patience)
            if control in ready:
                read = os.read(control, 65536)
                if not read:
                    return
                *lines, pending = (pending + read).split(b"\n")
                for line in lines:
                    self.conditions = Conditions(**json.loads(line))
            for direction, one in enumerate(self._sockets):
                if one.fileno() in ready:
                    self._take(direction, one)
            self._give(time.monotonic())

    def _take(self, direction: int, source: socket.socket) -> None:
        now, conditions = time.monotonic(), self.conditions
        for _ in range(128):
            try:
                packet, address = source.recvfrom(65536)
            except (BlockingIOError, OSError):
                return
            if address[2] == _OUTGOING or conditions.down or self._chance.random() < conditions.loss:
                continue
            begin = max(now, self._free_at[direction])
            if begin - now > _MOST_QUEUED_SECONDS:
                continue
            rate = conditions.bits_per_second
            self._free_at[direction] = begin + (8 * len(packet) / rate if rate else 0.0)
            late = _REORDERED_SECONDS if self._chance.random() < conditions.reorder else 0.0
            self._count += 1
            at = self._free_at[direction] + conditions.delay_seconds + late
            heapq.heappush(self._queue, (at, self._count, 1 - direction, packet))

    def _give(self, now: float) -> None:
        while self._queue and self._queue[0][0] <= now:
            _, _, direction, packet = heapq.heappop(self._queue)
            try:
                self._sockets[direction].send(packet)
            except OSError:  # a full buffer loses packets, as a real one does
                continue


def _packets(interface: str) -> socket.socket:
    opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.ntohs(_ALL_PROTOCOLS))
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**22)
    opened.bind((interface, 0))
    opened.setblocking(False)
    return opened


if __name__ == "__main__":
    Link((sys.argv[1], sys.argv[2])).run(sys.stdin.fileno())
