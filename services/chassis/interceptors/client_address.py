"""From which network address, and with which program, the client of this RPC calls."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from functools import lru_cache
from ipaddress import ip_address
from urllib.parse import unquote

from services.chassis.interceptors.call import Call

METADATA_KEY = "x-envoy-external-address"
"""Envoy's edge sets it, after taking away what clients sent under this name; the adapters pass it on."""
_AGENT_KEYS = ("grpcgateway-user-agent", "user-agent")
"""The REST adapter passes on what the client said; of a gRPC client it is gRPC's own."""
_MOST_AGENT_CHARACTERS = 512
_PEER = re.compile(r"ipv[46]:\[?([0-9a-fA-F:.]+?)\]?:\d+")

_current: ContextVar[str] = ContextVar("client_address", default="")
_agent: ContextVar[str] = ContextVar("client_agent", default="")


def current() -> str:
    """Return the address of the client whose RPC runs now; empty outside of one."""
    return _current.get()


def agent() -> str:
    """Return the user agent that the client says it is, cut to 512 characters; empty outside of an RPC."""
    return _agent.get()


def enter(address: str) -> None:
    """Make `address` the current one for the rest of this task."""
    _current.set(address)


@asynccontextmanager
async def locate_client(call: Call) -> AsyncIterator[None]:
    """Take the address that the edge saw, else that of the peer."""
    enter(address_of(call.metadata.get(METADATA_KEY, ""), call.context.peer()))
    said = next((call.metadata[key] for key in _AGENT_KEYS if key in call.metadata), "")
    _agent.set(said[:_MOST_AGENT_CHARACTERS])
    yield


@lru_cache(maxsize=4096)
def address_of(told: str, peer: str) -> str:
    """Return the address that Envoy told of when it is one, else the one in gRPC's name of the peer."""
    match = _PEER.fullmatch(unquote(peer))
    for candidate in (told, match[1] if match else ""):
        try:
            return str(ip_address(candidate))
        except ValueError:
            continue
    return ""
