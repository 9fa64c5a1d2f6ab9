"""Addresses to listen on: one spelling for two libraries, one of which wants IPv6 in brackets."""

from __future__ import annotations

import ipaddress


def listening_host(text: str) -> str:
    """Return a host as it is kept: a name, or an IP address without brackets.

    Args:
        text: "localhost", "0.0.0.0", "::1", "[::1]", "fe80::1%eth0".

    Raises:
        ValueError: it is none of these, or has a port or a scheme.
    """
    host = text.strip()
    if host.startswith("unix:") or "/" in host:
        raise ValueError("services listen on TCP alone; give an address or name of this machine, such as 127.0.0.1")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if ":" in bare or bare != host:
        try:
            return str(ipaddress.IPv6Address(bare))
        except ValueError as err:
            raise ValueError(
                "that is no IPv6 address; give one such as ::1, or a name, and the port as a setting of its own"
            ) from err
    if not bare or any(character.isspace() for character in bare):
        raise ValueError("give an address or name of this machine, such as 127.0.0.1, ::1 or localhost")
    return bare


def with_port(host: str, port: int) -> str:
    """Return "host:port" with an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
