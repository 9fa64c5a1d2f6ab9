"""A connection outlives pings, however many come while the server has nothing to say."""

from __future__ import annotations

import socket
import struct

from tests.services.serving import SECONDS, Running

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS, PING, GOAWAY = 4, 6, 7
ACK = 1


def frame(kind: int, payload: bytes = b"", flags: int = 0) -> bytes:
    """An HTTP/2 frame of the whole connection."""
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + bytes(4) + payload


def next_frame(incoming) -> tuple[int, int, bytes]:
    """The kind, flags and payload of the next frame."""
    head = incoming.read(9)
    assert len(head) == 9, "the server hung up"
    return head[3], head[4], incoming.read(int.from_bytes(head[:3], "big"))


def answer(incoming) -> bytes:
    """The next answer to a ping."""
    while True:
        kind, flags, payload = next_frame(incoming)
        assert kind != GOAWAY, payload
        if kind == PING and flags & ACK:
            return payload


def test_a_client_that_measures_its_connection_by_pings_is_not_sent_away(decoder: Running) -> None:
    host, _, port = decoder.target.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=SECONDS) as connection:
        connection.sendall(PREFACE + frame(SETTINGS))
        with connection.makefile("rb") as incoming:
            for number in range(10):
                ping = number.to_bytes(8, "big")
                connection.sendall(frame(PING, ping))
                assert answer(incoming) == ping
