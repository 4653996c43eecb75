"""Which client calls: told apart by its network and the kind of its program."""

import re
from ipaddress import IPv6Address, ip_address, ip_network

# Who has one IPv6 address has a whole network of them.
_IPV6_NETWORK = 64
_NO_NAME = re.compile(r"[^A-Za-z]+")


def network_of(address: str) -> str:
    """Return the network that counts as one client; empty for no address."""
    if address and isinstance(ip_address(address), IPv6Address):
        return str(ip_network((address, _IPV6_NETWORK), strict=False))
    return address


def client_of(network: str, agent: str) -> str:
    """Return what a client keeps for some seconds: its network and its user agent without the numbers of versions.

    It tells browsers and devices of one person apart, not people: nobody is let in by it.
    """
    return f"{network}\n{_NO_NAME.sub(' ', agent).strip().lower()}"
