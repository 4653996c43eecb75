"""The adapter against the answers of Go's grpc-gateway, and what no single answer shows."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from adapters.rest.descriptors import read_descriptor_set
from adapters.rest.settings import RestSettings
from tests.adapters.conftest import Face, running_adapter
from tests.adapters.golden import Golden, compile_golden, start_golden
from tests.adapters.golden_vectors import ECHO, NOT_FOUND, VECTORS, E


@pytest.fixture(scope="module")
def golden() -> Golden:
    """The upstream's RPCs."""
    return Golden()


@pytest.fixture(scope="module")
def golden_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of the descriptor set."""
    return compile_golden(tmp_path_factory.mktemp("golden"))


@pytest.fixture(scope="module")
async def golden_upstream(golden: Golden, golden_set: Path) -> AsyncIterator[str]:
    """The address of the upstream."""
    server, port = await start_golden(golden, read_descriptor_set(golden_set))
    yield f"127.0.0.1:{port}"
    await server.stop(None)


@pytest.fixture(scope="module")
async def gateway(golden_set: Path, golden_upstream: str) -> AsyncIterator[Face]:
    """The adapter as grpc-gateway."""
    settings = RestSettings(listen="127.0.0.1:0", upstream=golden_upstream, descriptor_set=golden_set, drain_seconds=1)
    async with running_adapter(settings) as running:
        yield running


async def ask(port: int, line: str, headers: tuple[str, ...], body: str) -> tuple[int, list[str], str]:
    """Send one request over a bare connection; trailers follow the body, each after a bar."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = [
        f"{line} HTTP/1.1",
        "Host: a",
        "Connection: close",
        f"Content-Length: {len(body.encode())}",
        *headers,
        "",
        "",
    ]
    writer.write("\r\n".join(head).encode() + body.encode())
    raw = (await asyncio.wait_for(reader.read(), 10)).decode()
    writer.close()
    top, _, rest = raw.partition("\r\n\r\n")
    first, *lines = top.split("\r\n")
    if "transfer-encoding: chunked" in lines:
        text = ""
        while size := int(rest.partition("\r\n")[0], 16):
            start = rest.index("\r\n") + 2
            text += rest[start : start + size]
            rest = rest[start + size + 2 :]
        rest = "|".join([text, *rest.split("\r\n")[1:]]).rstrip("|")
    return int(first.split(" ")[1]), lines, rest


@pytest.mark.parametrize(
    ("line", "headers", "body", "code", "present", "answer"), VECTORS, ids=[f"{v[0]} {v[2]}"[:60] for v in VECTORS]
)
async def test_vector(
    gateway: Face, line: str, headers: tuple[str, ...], body: str, code: int, present: tuple[str, ...], answer: str
) -> None:
    found, lines, text = await ask(gateway.port, line, headers, body)
    assert found == code, text
    assert set(present) <= set(lines)
    if answer or code == 200:
        assert text == answer
    assert not any(name.startswith("x-request-id") for name in lines)
    if line.endswith("a_bit_of_everything"):
        assert not any(name.startswith("content-type:") for name in lines)


@pytest.mark.parametrize(
    ("mode", "path", "expected"),
    [
        ("all-except-reserved", "/s/a%2Fb", "a/b"),
        ("all-except-slash", "/s/a%2Fb", "a/b"),
        ("all-characters", "/s/a%2Fb", None),
        ("all-except-reserved", "/m/a%2Fb/c%23d", "a%2Fb/c%23d"),
        ("all-except-slash", "/m/a%2Fb/c%23d", "a%2Fb/c#d"),
        ("all-characters", "/m/a%2Fb/c%23d", "a/b/c#d"),
        ("all-except-reserved", "/d/a%2Fb/caf%C3%A9/tail", "a%2Fb/café"),
        ("all-except-reserved", "/v/a%20b:act", "a b"),
    ],
)
async def test_unescaping(golden_set: Path, golden_upstream: str, mode: Any, path: str, expected: str | None) -> None:
    settings = RestSettings(
        listen="127.0.0.1:0", upstream=golden_upstream, descriptor_set=golden_set, unescape=mode, drain_seconds=1
    )
    async with running_adapter(settings) as face:
        found, _, text = await ask(face.port, f"GET {path}", (), "")
    assert (found, text) == ((404, NOT_FOUND) if expected is None else (200, ECHO.format(expected, 0)))


async def test_both_directions_at_once(gateway: Face) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(
        f"POST {E}/a_bit_of_everything/echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    )
    async with asyncio.timeout(5):
        for word in ("one", "two", "three"):
            value = f'{{"value":"{word}"}}'
            middle = len(value) // 2
            for part in (value[:middle], value[middle:]):
                writer.write(f"{len(part):x}\r\n{part}\r\n".encode())
                await writer.drain()
            assert word in (await reader.readuntil(b"}}\n")).decode()
        writer.write(b"0\r\n\r\n")
        assert (await reader.readuntil(b"0\r\n\r\n")).endswith(b"0\r\n\r\n")
    writer.close()


async def test_an_upload_ends_when_the_upstream_refuses(gateway: Face) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    head = f"POST {E}/a_bit_of_everything/bulk HTTP/1.1\r\nHost: a\r\nGrpc-Metadata-Error: x\r\n"
    writer.write(f"{head}Transfer-Encoding: chunked\r\n\r\n2\r\n{{}}\r\n".encode())
    assert b" 400 " in await asyncio.wait_for(reader.readline(), 5)
    writer.close()


@pytest.mark.parametrize("body", [b"", b"x" * 100_000])
async def test_leaving_cancels_within_a_second(gateway: Face, golden: Golden, body: bytes) -> None:
    golden.waiting.clear()
    golden.cancelled.clear()
    _, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(b"POST /wait HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (len(body) * 2) + body)
    await asyncio.wait_for(golden.waiting.wait(), 5)
    writer.close()
    await asyncio.wait_for(golden.cancelled.wait(), 1)


async def test_a_lost_upstream_reads_as_in_go(golden_set: Path) -> None:
    settings = RestSettings(listen="127.0.0.1:0", upstream="127.0.0.1:1", descriptor_set=golden_set, drain_seconds=1)
    async with running_adapter(settings) as face:
        found, _, text = await ask(face.port, f"GET {E}/echo/a/1", (), "")
        assert found == 503
        assert re.match(r'{"code":14,"message":"connection error: desc = \\"transport: Error while dialing: ', text)
        assert (await face.client.get("/healthz")).status_code == 503


async def test_the_options(golden_set: Path, golden_upstream: str) -> None:
    settings = RestSettings(
        listen="127.0.0.1:0",
        upstream=golden_upstream,
        descriptor_set=golden_set,
        drain_seconds=1,
        proto_names=True,
        enum_numbers=True,
        emit_unpopulated=False,
        generate_unbound_methods=True,
        strict=True,
        real_405=True,
        form_fallback=False,
    )
    async with running_adapter(settings) as face:
        client = face.client
        assert (await client.get(f"{E}/echo/resource/r?num=1")).text == '{"num":"1","resource_id":"r"}'
        unbound = "/grpc.gateway.examples.internal.proto.examplepb.ABitOfEverythingService/Unbound"
        assert (await client.post(unbound, json={"value": "a"})).text == '{"value":"a"}'
        assert "unknown query parameter" in (await client.get(f"{E}/echo/a/1?nope=1")).json()["message"]
        assert "unknown field" in (await client.post(f"{E}/echo_body", json={"nope": 1})).json()["message"]
        refused = await client.get(f"{E}/echo_body")
        assert (refused.status_code, refused.headers["allow"]) == (405, "POST")
        form = await client.post(f"{E}/echo/resource/r", data={"num": "7"})
        assert form.status_code == 405
        assert (await client.get("/healthz")).json() == {"status": "SERVING"}
