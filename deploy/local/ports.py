"""Ports for the parts: free, below the ephemeral range, and the same at the next start where possible."""

import json
import random
import socket
from collections.abc import Sequence
from pathlib import Path

from deploy.local.errors import LaunchError
from deploy.local.folders import write_atomically

_LOWEST = 15_000
_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def assign_ports(names: Sequence[str], memory: Path, taken: set[int]) -> dict[str, int]:
    """Return a free loopback port for each name, the remembered one where it is free; remembers them in the file.

    `taken` are ports that must not be used. Raises LaunchError when no free port is found.
    """
    remembered = _read(memory)
    ports: dict[str, int] = {}
    for name in names:
        used = taken | set(ports.values())
        port = remembered.get(name, 0)
        ports[name] = port if port and port not in used and is_free("127.0.0.1", port) else _find(used)
    write_atomically(memory, json.dumps(ports, indent=2))
    return ports


def require_edge_port(host: str, port: int) -> None:
    """Raise LaunchError, naming the holder where it can be seen, when the edge's address cannot be listened on."""
    if is_free(host, port):
        return
    holder = _holder(port)
    if not holder and not _is_ours(host):
        raise LaunchError(f"{host} is no address of this machine: set PARLEY_EDGE_HOST")
    raise LaunchError(f"port {port} on {host} is busy{holder}: stop what holds it or set PARLEY_EDGE_PORT")


def _find(used: set[int]) -> int:
    # A port of the ephemeral range may be lent to any outgoing connection while its part restarts.
    highest = int(_EPHEMERAL.read_text().split()[0]) if _EPHEMERAL.exists() else 32_768
    candidates = range(_LOWEST, highest) if highest > _LOWEST + 1000 else range(_LOWEST, 65_000)
    for port in random.sample(candidates, 200):
        if port not in used and is_free("127.0.0.1", port):
            return port
    raise LaunchError("no free port was found on 127.0.0.1")


def _read(memory: Path) -> dict[str, int]:
    try:
        kept = json.loads(memory.read_text())
    except (OSError, ValueError):
        return {}
    return {name: port for name, port in kept.items() if isinstance(port, int)} if isinstance(kept, dict) else {}


def _is_ours(host: str) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        try:
            probe.bind((host, 0))
        except OSError:
            return False
        return True


def _holder(port: int) -> str:
    import psutil  # only needed for this message

    try:
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr[1:2] == (port,) and connection.pid:
                return f" (held by {psutil.Process(connection.pid).name()}, pid {connection.pid})"
    except psutil.Error:
        return ""
    return ""
