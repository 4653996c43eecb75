"""Where tools may lead: the one place that decides about addresses.

A URL is parsed once, its name resolved once, every address checked, and the connection opened to a checked address, so
that a name that changes its address in between (DNS rebinding) gains nothing. Parsing, resolving and the table of
addresses are those of `ssrfguard`; what stands here is our own list on top of it and the exceptions of the operators.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

from ssrfguard import BlockedAddressError, Policy, SSRFGuardError, Target, resolve

from services.tools.errors import EgressRefused
from services.tools.rules import GrpcSource, HttpSource, McpSource, Source, without_arguments
from services.tools.rules.requests import split_url

Address = IPv4Address | IPv6Address
_RESOLVE_SECONDS = 5.0
_MOST_ADDRESSES = 16
_SCHEMES = {"http": 80, "https": 443}
# Denied whatever a table of others says: addresses that carry another address, or that a cloud answers itself.
_DENIED = tuple(
    map(
        ip_network,
        (
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",
            "127.0.0.0/8",
            "168.63.129.16/32",  # Azure answers machines here
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.168.0.0/16",
            "198.18.0.0/15",
            "224.0.0.0/3",
            "::/96",
            "::ffff:0:0/96",
            "::ffff:0:0:0/96",  # SIIT
            "64:ff9b::/32",  # NAT64, also with a prefix of one's own
            "2001::/23",  # Teredo among others
            "2002::/16",  # 6to4
            "fc00::/7",
            "fe80::/9",  # link-local and site-local
            "ff00::/8",
        ),
    )
)


class EgressGuard:
    """Implements the port Egress, and tells the callers to which addresses they may connect.

    `exceptions` are pairs ADDRESS:PORT; `resolver` stands in for socket.getaddrinfo in tests.
    """

    def __init__(
        self, ports: Sequence[int], exceptions: Sequence[str], resolver: Callable[..., Any] | None = None
    ) -> None:
        self._ports = frozenset(ports)
        self._exceptions = frozenset(map(_exception, exceptions))
        self._resolver = resolver
        self._policy = Policy(
            allowed_ports=self._ports | {port for _, port in self._exceptions} or frozenset({443}),
            allowed_networks=tuple(ip_network(str(address)) for address, _ in self._exceptions),
        )

    async def check(self, source: Source, *, has_secrets: bool) -> None:
        """See the port."""
        match source:
            case GrpcSource():
                host, port = host_and_port(source.target)
                await self.addresses(host, port)
            case HttpSource():
                await self.check_url(without_arguments(source.url), has_secrets=has_secrets)
            case McpSource(command=""):
                await self.check_url(source.url, has_secrets=has_secrets)
            case McpSource():
                pass

    async def check_url(self, url: str, *, has_secrets: bool = False) -> None:
        """Raise EgressRefused when a URL leads, now, to where tools may not go."""
        try:
            split_url(url)
            target = self._policy.check_url(url)
        except SSRFGuardError as refused:
            raise EgressRefused(cause=_reason(refused)) from None
        except ValueError as wrong:
            raise EgressRefused(cause=f"the URL {wrong}") from None
        addresses = await self._resolved(target)
        excepted = all((address, target.port) in self._exceptions for address in addresses)
        if has_secrets and target.scheme != "https" and not excepted:
            raise EgressRefused(cause="secrets are sent over https only")

    async def addresses(self, host: str, port: int) -> list[str]:
        """Return the addresses to which a connection to a host may be opened; all of them were checked.

        Raises EgressRefused, also when one of several addresses is refused.
        """
        # A host without a URL, from a connection pool or a gRPC target: the same rules are asked by way of one.
        shown = f"[{host}]" if ":" in host else host
        scheme = "https" if port == _SCHEMES["https"] else "http"
        try:
            target = self._policy.check_url(f"{scheme}://{shown}:{port}/")
        except SSRFGuardError as refused:
            raise EgressRefused(cause=_reason(refused)) from None
        return [str(address) for address in await self._resolved(target)]

    async def _resolved(self, target: Target) -> list[Address]:
        look = partial(resolve, target, policy=self._policy, resolver=self._resolver)
        try:
            async with asyncio.timeout(_RESOLVE_SECONDS):
                found = [answer.ip for answer in await asyncio.to_thread(look)]
        except SSRFGuardError as refused:
            raise EgressRefused(cause=_reason(refused)) from None
        except (OSError, TimeoutError, ValueError):
            raise EgressRefused(cause=f"the name {target.host} cannot be resolved") from None
        for address in found:
            if (address, target.port) not in self._exceptions and not self._may_reach(address, target.port):
                raise EgressRefused(cause=f"{address} port {target.port} is not a public service")
        return found[:_MOST_ADDRESSES]

    def _may_reach(self, address: Address, port: int) -> bool:
        return port in self._ports and is_public(address)


def is_public(address: Address) -> bool:
    """Whether an address is one of the open internet, and carries no other address in it."""
    denied = any(address in network for network in _DENIED if network.version == address.version)
    # What IANA keeps in reserve is global to Python's `ipaddress`, and nobody's.
    return address.is_global and not address.is_reserved and not denied


def host_and_port(target: str) -> tuple[str, int]:
    """Return the two parts of HOST:PORT. Raises EgressRefused."""
    host, colon, port = target.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit() or any(one in host for one in "/@?#\\"):
        raise EgressRefused(cause="the target must be HOST:PORT")
    return host.strip("[]"), int(port)


def _exception(text: str) -> tuple[Address, int]:
    host, port = host_and_port(text)
    return ip_address(host), int(port)


def _reason(refused: SSRFGuardError) -> str:
    # Where a name leads inside of the house is nobody's business.
    return "it is not a public address" if isinstance(refused, BlockedAddressError) else str(refused)[:300]
