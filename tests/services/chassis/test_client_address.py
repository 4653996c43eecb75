"""From where a client calls."""

import pytest

from services.chassis.interceptors.client_address import address_of


@pytest.mark.parametrize(
    ("told", "peer", "address"),
    [
        ("203.0.113.7", "ipv4:127.0.0.1:50000", "203.0.113.7"),
        ("2001:DB8::1", "ipv4:127.0.0.1:50000", "2001:db8::1"),
        ("", "ipv4:127.0.0.1:50000", "127.0.0.1"),
        ("", "ipv6:[::1]:50000", "::1"),
        ("", "ipv6:%5B::1%5D:50000", "::1"),
        ("203.0.113.7, 10.0.0.1", "ipv4:127.0.0.1:1", "127.0.0.1"),
        ("<script>", "ipv4:127.0.0.1:1", "127.0.0.1"),
        ("", "unix:/run/socket", ""),
        ("", "", ""),
    ],
)
def test_the_address_is_what_the_edge_saw_else_the_peer(told: str, peer: str, address: str) -> None:
    assert address_of(told, peer) == address
