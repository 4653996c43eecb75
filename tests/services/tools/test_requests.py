"""What tools may send: URLs, headers, where secrets go and where arguments stand."""

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.errors import InvalidFields, ServiceError
from services.tools.errors import ArgumentsInvalid, SourceInvalid
from services.tools.rules import (
    GrpcSource,
    HttpSource,
    McpSource,
    SecretHeader,
    Source,
    check_secret_headers,
    check_source,
    check_url,
)
from services.tools.rules.imports import names_for_models
from services.tools.rules.placing import placed
from services.tools.rules.secrets import Destination, ToolSecret, destination_of, refused

FRAMING = [
    "Host",
    "content-length",
    "Transfer-Encoding",
    "CONNECTION",
    "TE",
    "Upgrade",
    "X-Forwarded-For",
    "Keep-Alive",
]


@pytest.mark.parametrize(
    "url",
    [
        *("http://[1.1.1.1]/", "http://[::1", "http://[v1.x]/", "http://x:99999/", "http://x:abc/", "http://x:0/"),
        *("https://user:pw@x.example/", "https://good.example\\@evil.example/", "https://x.example/\r\nX: y"),
        *(
            "https://x.example/a b",
            "https://x\x00.example/",
            "https://Ⅰ.example/",
            "ftp://x.example/",
            "//x/y",
            "https:///x",
        ),
        *("https://x.example/\ud800", "https://exämple.de/", "https://%31.example/", "", "https://"),
    ],
)
def test_what_parsers_could_read_differently_is_no_url(url: str) -> None:
    with pytest.raises(SourceInvalid) as wrong:
        check_url(url, "tool.http.url")
    assert wrong.value.violations[0][0] == "tool.http.url"
    for source in (HttpSource("GET", url), McpSource(url, "", "x")):
        with pytest.raises(SourceInvalid):
            check_source(source, has_secrets=False)


@pytest.mark.parametrize(
    "target",
    ["x", "[1.1.1.1]:443", "1.1.1.1:99999", "1.1.1.1:0", ":443", "a b:443", "a@b:443", "x:443/y", "x:443#", "é:1"],
)
def test_a_target_of_grpc_is_a_host_and_a_port(target: str) -> None:
    with pytest.raises(SourceInvalid, match=r"tool\.grpc\.target"):
        check_source(GrpcSource(target, "/a.B/C", b"x"), has_secrets=False)


@given(st.text(max_size=40), st.sampled_from(["", "http://", "https://[", "https://x.example/", "https://x.example:"]))
def test_no_url_is_a_fault(text: str, start: str) -> None:
    for source in (HttpSource("GET", start + text), McpSource(start + text, "", "x")):
        with contextlib.suppress(ServiceError):
            check_source(source, has_secrets=True)


@pytest.mark.parametrize(
    "url", ["https://x.example/người/{id}?q=1#f", "http://127.0.0.1:9000", "https://[2606:4700::1]:8443/"]
)
def test_ordinary_urls_are(url: str) -> None:
    check_source(HttpSource("GET", url), has_secrets=False)


@pytest.mark.parametrize("name", [*FRAMING, "a b", "a:b", "é", "", "a\r\nb", "a\x00"])
def test_headers_that_frame_or_route_are_refused(name: str) -> None:
    with pytest.raises(SourceInvalid, match="headers"):
        check_source(HttpSource("GET", "https://x.example/", (), ((name, "x"),)), has_secrets=False)
    with pytest.raises(InvalidFields, match=r"secret_headers\[0\].name"):
        check_secret_headers([SecretHeader(name, "key")], None, "secret_headers")


@pytest.mark.parametrize("value", ["a\r\nX: y", "a\nb", "a\x00", "é", " a", "a ", "\x7f", "\ud800"])
def test_values_that_break_a_header_are_refused(value: str) -> None:
    with pytest.raises(SourceInvalid, match="headers"):
        check_source(HttpSource("GET", "https://x.example/", (), (("X-One", value),)), has_secrets=False)


def test_a_header_is_there_once() -> None:
    twice = HttpSource("GET", "https://x.example/", (), (("X-One", "1"), ("x-one", "2")))
    with pytest.raises(SourceInvalid, match="twice"):
        check_source(twice, has_secrets=False)
    once = HttpSource("GET", "https://x.example/", (), (("authorization", "mine"),))
    with pytest.raises(InvalidFields, match="twice"):
        check_secret_headers([SecretHeader("Authorization", "key")], once, "tool.secret_headers")
    with pytest.raises(InvalidFields, match="-bin"):
        check_secret_headers([SecretHeader("key-bin", "key")], GrpcSource("x:1", "/a/b", b"x"), "tool.secret_headers")


@pytest.mark.parametrize(
    ("host", "to", "may"),
    [
        ("api.example.org", "https://api.example.org/a", True),
        ("API.example.org.", "https://api.EXAMPLE.org/a", True),
        ("api.example.org", "https://api.example.org:8443/a", False),
        ("api.example.org", "http://api.example.org/a", False),
        ("api.example.org:8443", "https://api.example.org:8443/a", True),
        ("api.example.org", "https://api.example.org.evil.example/", False),
        ("api.example.org", "https://evil-api.example.org/", False),
        ("api.example.org", "https://evil.example/?api.example.org", False),
        ("*.example.org", "https://a.b.example.org/", True),
        ("*.example.org", "https://example.org/", False),
        ("*.example.org", "https://evilexample.org/", False),
        ("[2606:4700::1]", "https://[2606:4700::1]/", True),
    ],
)
def test_a_secret_goes_to_its_hosts_only(host: str, to: str, may: bool) -> None:
    destination = destination_of(HttpSource("GET", to))
    assert destination is not None
    assert (refused(ToolSecret("key", (host,)), destination) == "") is may


@pytest.mark.parametrize(
    ("source", "destination"),
    [
        (GrpcSource("API.example.org:443", "/a.B/C", b"x"), Destination("api.example.org", 443, "/a.B/C")),
        (GrpcSource("[2606:4700::1]:443", "/a.B/C", b"x"), Destination("2606:4700::1", 443, "/a.B/C")),
        (McpSource("https://api.example.org/mcp", "", "pay"), Destination("api.example.org", 443, "pay")),
        (McpSource("", "sums", "add"), None),
        (HttpSource("GET", "https://api.example.org/{a b}/{ộ}"), Destination("api.example.org", 443, "GET")),
    ],
)
def test_where_sources_lead(source: Source, destination: Destination | None) -> None:
    assert destination_of(source) == destination


def test_a_secret_with_methods_goes_for_these_only() -> None:
    secret = ToolSecret("key", ("api.example.org",), ("GET", "pay"))
    for method, may in (("GET", True), ("POST", False), ("pay", True), ("", True)):
        assert (refused(secret, Destination("api.example.org", 443, method)) == "") is may


@pytest.mark.parametrize(
    ("arguments", "query"),
    [
        ({"tag": ["a", "b c"], "cursor": None}, "tag=a&tag=b+c"),
        ({"full": True, "old": False}, "full=true&old=false"),
        ({"n": 1, "x": 1.5, "big": 12345678901234567890}, "n=1&x=1.5&big=12345678901234567890"),
        ({"none": [], "some": [None, "x", True, 2]}, "some=x&some=true&some=2"),
        ({"q": "a&b=c d/é?#+"}, "q=a%26b%3Dc+d%2F%C3%A9%3F%23%2B"),
        ({"a[]": ["1"]}, "a%5B%5D=1"),
    ],
)
def test_arguments_in_a_query(arguments: dict[str, Any], query: str) -> None:
    assert placed(HttpSource("GET", "https://x.example/a"), arguments) == (f"https://x.example/a?{query}", None)
    source = HttpSource("POST", "https://x.example/a?fixed=1#end", tuple(arguments))
    assert placed(source, {**arguments, "rest": None}) == (
        f"https://x.example/a?fixed=1&{query}#end",
        {"rest": None},
    )


@pytest.mark.parametrize("value", [{"a": 1}, [[1]], [{"a": 1}]])
def test_what_no_query_holds_is_refused(value: object) -> None:
    with pytest.raises(ArgumentsInvalid, match="filter holds an object"):
        placed(HttpSource("GET", "https://x.example/"), {"filter": value})


@pytest.mark.parametrize("value", ["", ".", "..", [], None, {"a": 1}])
def test_what_no_path_holds_is_refused(value: object) -> None:
    with pytest.raises(ArgumentsInvalid):
        placed(HttpSource("GET", "https://x.example/a/{id}"), {"id": value})


def test_arguments_in_a_path() -> None:
    source = HttpSource("GET", "https://x.example/{a}/{b}/{c}")
    url, _ = placed(source, {"a": "x/y", "b": True, "c": ["1", "2,3"]})
    assert url == "https://x.example/x%2Fy/true/1,2%2C3"


def test_names_that_would_be_the_same_are_told_apart_whatever_their_order() -> None:
    names = ["order.umbrella", "order_umbrella", "order/umbrella", "x" * 80, "x" * 81, "1st", "plain"]
    called = names_for_models(names)
    assert called == names_for_models(reversed(names))
    assert len(set(called.values())) == len(names)
    assert (called["order_umbrella"], called["plain"], called["1st"]) == ("order_umbrella", "plain", "_1st")
    assert max(map(len, called.values())) <= 64
