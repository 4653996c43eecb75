"""Every kind of source, called for real: an HTTP server, an MCP server and a gRPC service."""

import json
import socket
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from services.chassis.sandbox.running import Sandbox
from services.tools.backends.egress_guard import EgressGuard
from services.tools.backends.grpc_caller import GrpcCaller
from services.tools.backends.http_caller import HttpCaller
from services.tools.backends.mcp_caller import McpCaller
from services.tools.errors import EgressRefused
from services.tools.ports import CallFailed
from services.tools.rules import GrpcSource, HttpSource, McpSource
from tests.acceptance.tools.servers import Seen, mcp_server, serving, weather_descriptors, weather_service, web
from tests.support.stores import free_port

KEY = {"Idempotency-Key": "k-1"}
LIMIT = 100_000


def guard(port: int) -> EgressGuard:
    """Return a guard that lets tools reach one port of the loopback."""
    return EgressGuard([80, 443], [f"127.0.0.1:{port}"])


async def test_arguments_go_into_path_query_and_body() -> None:
    seen = Seen()
    async with serving(web(seen)) as port:
        caller = HttpCaller(guard(port), LIMIT)
        url = f"http://127.0.0.1:{port}/cities/{{city}}/weather"
        arguments = {"city": "Huế/../x", "days": 3, "unit": "C", "tags": ["a", 1]}
        post = HttpSource("POST", url, ("days",), (("X-Static", "yes"),))
        told = await caller.call(post, arguments, {**KEY, "Authorization": "Bearer s3cret"}, 5)
        assert told.text == "seen 1"
        assert (await caller.call(HttpSource("GET", url), arguments, KEY, 5)).text == "seen 2"
    method, path, headers, body = seen.requests[0]
    assert (method, path) == ("POST", "/cities/Hu%E1%BA%BF%2F..%2Fx/weather?days=3") or path.endswith("weather?days=3")
    assert json.loads(body) == {"unit": "C", "tags": ["a", 1]}
    assert (headers["idempotency-key"], headers["authorization"], headers["x-static"]) == (
        "k-1",
        "Bearer s3cret",
        "yes",
    )
    assert headers["host"] == f"127.0.0.1:{port}"
    assert seen.requests[1][1].endswith("?days=3&unit=C&tags=a&tags=1")
    assert seen.requests[1][3] == b""


async def test_arguments_go_into_headers_forms_and_whole_bodies() -> None:
    seen = Seen()
    async with serving(web(seen)) as port:
        caller, url = HttpCaller(guard(port), LIMIT), f"http://127.0.0.1:{port}/a"
        form = HttpSource("POST", url, ("q",), (), ("X-Trace", "X-Flags"), "", True)
        arguments = {
            "q": "1",
            "X-Trace": "t 1",
            "X-Flags": [True, 2],
            "name": "Huế & co",
            "tag": ["a", "b"],
            "no": None,
        }
        await caller.call(form, arguments, {**KEY, "x-trace": "secret"}, 5)
        await caller.call(HttpSource("POST", url, body_argument="items"), {"items": [1, "ế"]}, KEY, 5)
        await caller.call(HttpSource("POST", url, body_argument="items"), {}, KEY, 5)
        for wrong in ("a\r\nHost: b", "ế", {"a": 1}, "x" * 9_000):
            with pytest.raises(CallFailed, match="X-Trace"):
                await caller.call(form, {"X-Trace": wrong}, KEY, 5)
        with pytest.raises(CallFailed, match="name"):
            await caller.call(form, {"name": {"a": 1}}, KEY, 5)
    (_, path, headers, body), (_, _, whole_headers, whole), (_, _, _, none) = seen.requests
    assert path == "/a?q=1"
    # No argument takes the place of a secret.
    assert (headers["x-trace"], headers["x-flags"]) == ("secret", "true,2")
    assert headers["content-type"] == "application/x-www-form-urlencoded"
    assert body == b"name=Hu%E1%BA%BF+%26+co&tag=a&tag=b"
    assert (whole_headers["content-type"], json.loads(whole)) == ("application/json", [1, "ế"])
    assert none == b""


@pytest.mark.parametrize("value", ["", ".", ".."])
async def test_an_argument_cannot_choose_another_path(value: str) -> None:
    seen = Seen()
    async with serving(web(seen)) as port:
        source = HttpSource("GET", f"http://127.0.0.1:{port}/cities/{{city}}/weather")
        with pytest.raises(CallFailed, match="empty or made of dots"):
            await HttpCaller(guard(port), LIMIT).call(source, {"city": value}, KEY, 5)
    assert seen.requests == []


@pytest.mark.parametrize(
    ("path", "reason", "done"),
    [
        ("/inward", "STATUS", True),
        ("/large", "ANSWER_TOO_LARGE", True),
        ("/bomb", "ANSWER_INVALID", True),
        ("/slow", "TIMEOUT", None),
        ("/flaky?status=429", "STATUS", False),
        ("/flaky?status=502", "STATUS", None),
        ("/flaky?status=500", "STATUS", True),
    ],
)
async def test_what_goes_wrong_is_told_apart(path: str, reason: str, done: bool | None) -> None:
    seen = Seen(failures=9)
    async with serving(web(seen)) as port:
        source = HttpSource("GET", f"http://127.0.0.1:{port}{path}")
        with pytest.raises(CallFailed) as failed:
            await HttpCaller(guard(port), LIMIT).call(source, {}, KEY, 0.5)
        seen.go_on.set()
    assert (failed.value.reason, failed.value.done) == (reason, done)
    # Redirects are not followed.
    assert len(seen.requests) <= 1


async def test_a_server_that_is_not_there_has_done_nothing() -> None:
    port = free_port()
    with pytest.raises(CallFailed) as failed:
        await HttpCaller(guard(port), LIMIT).call(HttpSource("GET", f"http://127.0.0.1:{port}/"), {}, KEY, 2)
    assert (failed.value.reason, failed.value.done, failed.value.passing) == ("UNREACHABLE", False, True)


async def test_a_name_that_changes_its_address_gains_nothing() -> None:
    """The first answer is public, every later one is the loopback: what DNS rebinding does."""
    seen = Seen()
    asked: list[str] = []

    def rebinding(host: str, port: int, *rest: Any) -> list[Any]:
        asked.append(host)
        return socket.getaddrinfo("93.184.215.14" if len(asked) == 1 else "127.0.0.1", port, *rest)

    async with serving(web(seen)) as port:
        rebound = EgressGuard([80, 443, port], [], rebinding)
        source = HttpSource("GET", f"http://evil.example:{port}/")
        with pytest.raises(EgressRefused):
            await HttpCaller(rebound, LIMIT).call(source, {}, KEY, 2)
    assert len(asked) == 2
    assert seen.requests == []


async def test_the_connection_goes_to_the_address_that_was_checked_with_the_name_in_host() -> None:
    seen = Seen()

    def resolver(host: str, port: int, *rest: Any) -> list[Any]:
        assert host == "tool.example"
        return socket.getaddrinfo("127.0.0.1", port, *rest)

    async with serving(web(seen)) as port:
        pinned = EgressGuard([80], [f"127.0.0.1:{port}"], resolver)
        await HttpCaller(pinned, LIMIT).call(HttpSource("GET", f"http://tool.example:{port}/x"), {}, KEY, 2)
    assert seen.requests[0][2]["host"] == f"tool.example:{port}"


async def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Seen()
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    async with serving(web(seen)) as port:
        await HttpCaller(guard(port), LIMIT).call(HttpSource("GET", f"http://127.0.0.1:{port}/"), {}, KEY, 2)
    assert len(seen.requests) == 1


async def test_tools_of_an_mcp_server_are_found_and_called() -> None:
    app = mcp_server().streamable_http_app()
    async with serving(app) as port:
        caller = McpCaller(guard(port), LIMIT, {})
        url = f"http://127.0.0.1:{port}/mcp"
        found = {name: rest for name, *rest in await caller.tools(McpSource(url, "", ""), {})}
        assert set(found) == {"forecast", "order.umbrella", "broken"}
        assert found["forecast"][2:] == [True, True]
        assert found["order.umbrella"][2:] == [False, False]
        assert json.loads(str(found["forecast"][1]))["required"] == ["city"]
        answer = await caller.call(McpSource(url, "", "forecast"), {"city": "Huế"}, KEY, 5)
        assert json.loads(answer.text) == {"city": "Huế", "days": 1, "sky": "blue"}
        with pytest.raises(CallFailed, match="Error executing tool broken") as failed:
            await caller.call(McpSource(url, "", "broken"), {}, KEY, 5)
        assert (failed.value.reason, failed.value.done) == ("TOOL_ERROR", True)
        small = McpCaller(guard(port), 10, {})
        with pytest.raises(CallFailed):
            await small.call(McpSource(url, "", "forecast"), {"city": "Huế"}, KEY, 5)


async def test_an_mcp_server_inside_of_the_house_is_not_reached() -> None:
    app = mcp_server().streamable_http_app()
    async with serving(app) as port:
        caller = McpCaller(EgressGuard([80, 443, port], []), LIMIT, {})
        with pytest.raises(EgressRefused):
            await caller.tools(McpSource(f"http://127.0.0.1:{port}/mcp", "", ""), {})


async def test_a_command_runs_only_if_the_operators_named_it(tmp_path: Path) -> None:
    script = tmp_path / "server.py"
    script.write_text(
        "from mcp.server.mcpserver import MCPServer\n"
        "server = MCPServer('local')\n"
        "@server.tool()\n"
        "def add(a: int, b: int) -> int:\n"
        "    return a + b\n"
        "server.run('stdio')\n"
    )
    caller = McpCaller(EgressGuard([443], []), LIMIT, {"sums": [sys.executable, str(script)]})
    told = await caller.call(McpSource("", "sums", "add"), {"a": 2, "b": 3}, KEY, 20)
    assert json.loads(told.text) == {"result": 5}
    with pytest.raises(CallFailed, match="no MCP command sh"):
        await caller.call(McpSource("", "sh", "add"), {}, KEY, 5)


async def test_a_grpc_method_is_called_by_its_descriptors() -> None:
    async with weather_service() as port:
        caller = GrpcCaller(guard(port), LIMIT, Sandbox())
        source = GrpcSource(f"127.0.0.1:{port}", "/weather.v1.WeatherService/Tell", weather_descriptors(), True)
        answer = json.loads((await caller.call(source, {"city": "Hue"}, KEY, 5)).text)
        assert answer == {"sky": "blue over Hue", "key": "k-1"}
        for city, done in (("nowhere", True), ("void", None)):
            with pytest.raises(CallFailed) as failed:
                await caller.call(source, {"city": city}, KEY, 5)
            assert (failed.value.reason, failed.value.done) == ("STATUS", done)
        with pytest.raises(CallFailed, match="cannot be made") as failed:
            await caller.call(source, {"town": "Hue"}, KEY, 5)
        assert failed.value.done is False
        with pytest.raises(CallFailed) as failed:
            await GrpcCaller(guard(port), 5, Sandbox()).call(source, {"city": "Hue"}, KEY, 5)
        assert failed.value.reason == "ANSWER_TOO_LARGE"
    refused = GrpcSource("127.0.0.1:443", "/weather.v1.WeatherService/Tell", weather_descriptors(), True)
    with pytest.raises(EgressRefused):
        await caller.call(refused, {"city": "Hue"}, KEY, 5)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("charset=iso-8859-1", "café"),
        ('charset="ISO-8859-1"; a=b', "café"),
        ("charset=latin1", "café"),
        ("charset=utf-8", "caf\ufffd"),
        ("charset=iso-8859-15", "caf\ufffd"),
        ("charset=utf-7", "caf\ufffd"),
        ("charset=nonsense", "caf\ufffd"),
        ("a=b", "caf\ufffd"),
    ],
)
async def test_an_answer_is_read_as_utf_8_or_iso_8859_1(given: str, text: str) -> None:
    async with serving(web(Seen())) as port:
        source = HttpSource("GET", f"http://127.0.0.1:{port}/charset?{urlencode({'given': given})}")
        assert (await HttpCaller(guard(port), LIMIT).call(source, {}, KEY, 5)).text == text


@pytest.mark.parametrize("codec", ["punycode", "idna", "unicode_escape", "zlib", "utf-7", "bz2", "rot13", "undefined"])
@pytest.mark.parametrize("form", ["charset={}", "charset*={}''" + "a-" * 2_000])
async def test_no_charset_of_an_answer_blocks_the_loop(codec: str, form: str) -> None:
    given = urlencode({"given": form.format(codec), "size": 49_000})
    async with serving(web(Seen())) as port:
        source = HttpSource("GET", f"http://127.0.0.1:{port}/charset?{given}")
        began = time.process_time()
        assert (await HttpCaller(guard(port), LIMIT).call(source, {}, KEY, 60)).text == "a-" * 49_000
    # Punycode takes a minute.
    assert time.process_time() - began < 5


async def test_a_header_of_an_argument_takes_the_place_of_ours_and_never_of_the_owners() -> None:
    seen = Seen()
    async with serving(web(seen)) as port:
        in_headers = ("Content-Type", "x-fixed", "AUTHORIZATION")
        url = f"http://127.0.0.1:{port}/{{a b}}"
        source = HttpSource("POST", url, (), (("X-Fixed", "1"),), header_arguments=in_headers)
        await guard(port).check(source, has_secrets=True)
        arguments = {"a b": "order", **dict.fromkeys(in_headers, "theirs")}
        await HttpCaller(guard(port), LIMIT).call(source, arguments, {"Authorization": "ours"}, 5)
    ((_, _, headers, _),) = seen.requests
    assert (headers["content-type"], headers["x-fixed"], headers["authorization"]) == ("theirs", "1", "ours")
