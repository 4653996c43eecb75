"""Where tools may lead. Names are resolved by a table of the test, as an attacker's DNS server would."""

import socket
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.tools.backends.egress_guard import EgressGuard, is_public
from services.tools.errors import EgressRefused
from services.tools.rules import GrpcSource, HttpSource, McpSource

PUBLIC = "93.184.215.14"


def guard(*exceptions: str, **names: tuple[str, ...]) -> EgressGuard:
    """Return a guard with ports 80 and 443 that resolves names by a table, and numbers as the system does."""

    def resolver(host: str, port: int, *rest: Any) -> list[Any]:
        for name, addresses in names.items():
            if host.rstrip(".") == f"{name}.example":
                return [row for address in addresses for row in socket.getaddrinfo(address, port, *rest[:2])]
        return socket.getaddrinfo(host, port, *rest)

    return EgressGuard([80, 443], exceptions, resolver)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "0.0.0.0",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.169.254",
        "168.63.129.16",
        "192.0.0.9",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "2130706433",
        "0x7f.1",
        "0x7f000001",
        "0177.0.0.1",
        "017700000001",
        "127.1",
        "127.0.1",
        "①②⑦.0.0.1",
        "127。0。0。1",
        "[::]",
        "[::1]",
        "[::127.0.0.1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:169.254.169.254]",
        "[::ffff:93.184.215.14]",
        "[64:ff9b::7f00:1]",
        "[64:ff9b::a9fe:a9fe]",
        "[64:ff9b:1::7f00:1]",
        "[2002:7f00:1::]",
        "[2002:a9fe:a9fe::1]",
        "[2001:0:7f00:1::]",
        "[fc00::1]",
        "[fd00:ec2::254]",
        "[fe80::1]",
        "[fe80::1%25eth0]",
        "[fec0::1]",
        "[ff02::1]",
        "[::ffff:0:127.0.0.1]",
    ],
)
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_no_spelling_of_an_inner_address_passes(scheme: str, host: str) -> None:
    with pytest.raises(EgressRefused):
        await guard().check_url(f"{scheme}://{host}/latest/meta-data/")


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "gopher://good.example/",
        "ftp://good.example/",
        "//good.example/",
        "good.example",
        "http://user@good.example/",
        "http://good.example@127.0.0.1/",
        "http://good.example:good@127.0.0.1/",
        "http://127.0.0.1#@good.example/",
        "http://127.0.0.1\\@good.example/",
        "http://good.example\t.evil.example/",
        "http://good.example\r\nHost: x/",
        "http:///x",
        "http://good.example:22/",
        "http://good.example:6379/",
        "https://good.example:99999/",
        "http://" + "a" * 300 + ".example/",
    ],
)
async def test_what_is_not_a_plain_web_address_is_refused(url: str) -> None:
    with pytest.raises(EgressRefused):
        await guard(good=(PUBLIC,)).check_url(url)


async def test_a_public_name_passes() -> None:
    good = guard(good=(PUBLIC, "2606:2800:21f:cb07:6820:80da:af6b:8b2c"))
    await good.check_url("https://good.example/path?query")
    assert await good.addresses("good.example", 443) == [PUBLIC, "2606:2800:21f:cb07:6820:80da:af6b:8b2c"]


async def test_one_inner_address_among_public_ones_refuses_the_name() -> None:
    with pytest.raises(EgressRefused, match="not a public address"):
        await guard(mixed=(PUBLIC, "10.0.0.7")).check_url("https://mixed.example/")


# Public to the table of `ssrfguard`: what refuses these is the list of ours.
_OURS_ALONE = ("168.63.129.16", "::8000:1", "::ffff:0:127.0.0.1", "64:ff9b:5::1", "2002:7f00:1::")


@pytest.mark.parametrize("inner", _OURS_ALONE)
@pytest.mark.parametrize("place", [0, 1, 2, 20])
async def test_every_address_of_a_name_is_held_against_our_own_list(inner: str, place: int) -> None:
    public = tuple(f"93.184.215.{number}" for number in range(1, 21))
    mixed = guard(mixed=(*public[:place], inner, *public[place:]))
    with pytest.raises(EgressRefused):
        await mixed.check_url("https://mixed.example/")
    with pytest.raises(EgressRefused):
        await mixed.addresses("mixed.example", 443)
    with pytest.raises(EgressRefused):
        await mixed.check(GrpcSource("mixed.example:443", "/a.B/C", b"x"), has_secrets=False)


async def test_an_exception_for_one_address_lets_no_other_address_of_the_name_through() -> None:
    mixed = guard("10.0.0.7:9000", mixed=("10.0.0.7", PUBLIC), double=("10.0.0.7", "10.0.0.8"))
    for name in ("mixed", "double"):
        with pytest.raises(EgressRefused):
            await mixed.check_url(f"http://{name}.example:9000/")


async def test_secrets_stay_off_plain_http_when_one_address_of_several_is_an_exception() -> None:
    mixed = guard(f"{PUBLIC}:80", mixed=(PUBLIC, "93.184.215.15"), swapped=("93.184.215.15", PUBLIC))
    for name in ("mixed", "swapped"):
        with pytest.raises(EgressRefused, match="https only"):
            await mixed.check_url(f"http://{name}.example/", has_secrets=True)


async def test_a_refusal_does_not_tell_where_a_name_leads() -> None:
    with pytest.raises(EgressRefused) as refused:
        await guard(inner=("10.11.12.13",)).check_url("https://inner.example/")
    assert "10.11" not in str(refused.value)


async def test_a_name_that_cannot_be_resolved_is_refused() -> None:
    with pytest.raises(EgressRefused, match=r"gone\.invalid cannot be resolved"):
        await guard().check_url("https://gone.invalid/")


async def test_an_exception_holds_for_its_port_alone() -> None:
    excepted = guard("127.0.0.1:9000", "[::1]:9001")
    await excepted.check_url("http://127.0.0.1:9000/")
    await excepted.check_url("http://[::1]:9001/")
    for url in ("http://127.0.0.1/", "http://127.0.0.1:9001/", "http://127.0.0.2:9000/", "https://10.0.0.1:9000/"):
        with pytest.raises(EgressRefused):
            await excepted.check_url(url)
    with pytest.raises(EgressRefused):
        await guard("127.0.0.1:9000", good=(PUBLIC,)).check_url("http://good.example:9000/")


async def test_secrets_stay_off_plain_http() -> None:
    good = guard("127.0.0.1:9000", good=(PUBLIC,))
    await good.check_url("https://good.example/", has_secrets=True)
    await good.check_url("http://127.0.0.1:9000/", has_secrets=True)
    with pytest.raises(EgressRefused, match="https only"):
        await good.check_url("http://good.example/", has_secrets=True)


async def test_every_kind_of_source_is_checked() -> None:
    sources = (
        HttpSource("GET", "http://127.0.0.1/{name}"),
        GrpcSource("127.0.0.1:443", "/a.B/C", b"x"),
        GrpcSource("metadata@127.0.0.1:443", "/a.B/C", b"x"),
        McpSource("http://[::1]/mcp", "", "t"),
    )
    for source in sources:
        with pytest.raises(EgressRefused):
            await guard().check(source, has_secrets=False)
    await guard(good=(PUBLIC,)).check(HttpSource("GET", "https://good.example/{name}"), has_secrets=True)


@given(st.integers(min_value=0, max_value=2**32 - 1), st.integers(min_value=0, max_value=2**32 - 1))
def test_an_ipv6_address_that_carries_ipv4_is_never_public(carried: int, rest: int) -> None:
    inside = IPv4Address(carried)
    low = int(inside)
    for high in (0, 0xFFFF << 32, 0xFFFF << 48, 0x64FF9B << 96, 0x64FF9B0001 << 80):
        assert not is_public(IPv6Address(high | low)), inside
    assert not is_public(IPv6Address(0x2002 << 112 | low << 80 | rest))
    assert not is_public(IPv6Address(0x20010000 << 96 | low << 64 | rest))


@given(st.ip_addresses())
def test_what_is_public_is_global_and_no_more_than_that(address: IPv4Address | IPv6Address) -> None:
    wrong = ("is_private", "is_loopback", "is_link_local", "is_multicast", "is_reserved", "is_unspecified")
    if is_public(address):
        assert address.is_global
        assert [name for name in wrong if getattr(address, name)] == []


def test_ordinary_addresses_are_public() -> None:
    for text in (PUBLIC, "1.1.1.1", "8.8.8.8", "2606:4700:4700::1111", "2a00:1450:4001::8a"):
        assert is_public(ip_address(text))
