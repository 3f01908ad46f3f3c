"""Free TCP ports on loopback."""

from __future__ import annotations

import json
import random
import socket
from pathlib import Path

LOOPBACK = "127.0.0.1"

# Below the range that operating systems take for outgoing connections: a client that dials a stopped broker's port
# could otherwise be given that very port as its own and connect to itself, and the broker could not come back on it.
_FIRST, _LAST = 20_000, 32_000


def free_ports(count: int) -> list[int]:
    """Return `count` different ports that nobody listens on at this moment."""
    held: list[socket.socket] = []
    try:
        while len(held) < count:
            candidate = _listening_on(random.randint(_FIRST, _LAST))  # noqa: S311 - a port is no secret
            if candidate:
                held.append(candidate)
        return [int(each.getsockname()[1]) for each in held]
    finally:
        for each in held:
            each.close()


def kept_ports(directory: Path, count: int) -> list[int]:
    """Return free ports the first time and the same ones for that directory afterwards.

    A broker writes its controllers' addresses into its data, so a named directory keeps its ports.
    """
    file = directory / "ports.json"
    if file.exists():
        kept: list[int] = json.loads(file.read_text())
        return kept
    ports = free_ports(count)
    file.write_text(json.dumps(ports))
    return ports


def somebody_listens(address: str) -> bool:
    """Tell whether `host:port` accepts a connection."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except OSError:
        return False
    return True


def _listening_on(port: int) -> socket.socket | None:
    candidate = socket.socket()
    try:
        candidate.bind((LOOPBACK, port))
    except OSError:
        candidate.close()
        return None
    return candidate
