"""The heads of requests: how long they may be, how they come, and what HTTP's parser would refuse in them."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.conftest import Face
from tests.adapters.test_golden import ask
from tests.adapters.test_values import echo
from tests.adapters.upstreams import compiled, facing, serving

LIMIT = 64 * 1024


@pytest.fixture(scope="module")
async def echoing(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Path, str]]:
    """A descriptor set and the address of its upstream."""
    path, types = compiled("values.proto", Path(tmp_path_factory.mktemp("heads")))
    async with serving(types, {"values.v1.ValuesService.Echo": echo}) as upstream:
        yield path, upstream


@pytest.fixture(scope="module")
async def values(echoing: tuple[Path, str]) -> AsyncIterator[Face]:
    """The adapter with its usual limits."""
    async with facing(*echoing) as face:
        yield face


async def answered(port: int, request: bytes, *, pieces: int = 0) -> tuple[int, Any]:
    """Send bytes, all at once or in pieces, and return the status and the JSON of the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for start in range(0, len(request), pieces or len(request)):
            writer.write(request[start : start + (pieces or len(request))])
            await writer.drain()
            if pieces:
                await asyncio.sleep(0)
        async with asyncio.timeout(10):
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
            return int(head.split(" ")[1]), json.loads(await reader.readexactly(length))
    finally:
        writer.close()


@pytest.mark.parametrize(("size", "status"), [(60_000, 200), (LIMIT - 1, 200), (LIMIT + 1, 414), (1_000_000, 414)])
async def test_a_url_has_a_limit(values: Face, size: int, status: int) -> None:
    target = "/values?text=".ljust(size, "a")
    found, answer = await answered(values.port, f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    assert found == status
    if status == 414:
        assert answer == {"code": 8, "message": "the URL is longer than 65536 bytes", "details": []}


@pytest.mark.parametrize("names", [1, 500])
async def test_headers_have_a_limit(values: Face, names: int) -> None:
    def request(size: int) -> bytes:
        headers = "".join(f"x-{number}: {'a' * (size // names)}\r\n" for number in range(names))
        return f"GET /values HTTP/1.1\r\nHost: a\r\n{headers}\r\n".encode()

    assert (await answered(values.port, request(50_000)))[0] == 200
    found, answer = await answered(values.port, request(80_000))
    assert (found, answer["message"]) == (431, "the headers are longer than 65536 bytes")


@pytest.mark.parametrize(("start", "status"), [(b"GET /", 414), (b"GET / HTTP/1.1\r\na: ", 431)])
async def test_a_head_that_never_ends_is_answered(values: Face, start: bytes, status: int) -> None:
    assert (await answered(values.port, start + b"a" * 300_000))[0] == status


async def test_large_bodies_count_for_nothing(values: Face) -> None:
    body = json.dumps({"text": "a" * 500_000}).encode()
    request = b"POST /values HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    reader, writer = await asyncio.open_connection("127.0.0.1", values.port)
    async with asyncio.timeout(10):
        for _ in range(3):
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            assert b" 200 " in head
            await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]))
    writer.close()


async def test_the_limits_are_settings(echoing: tuple[Path, str]) -> None:
    async with facing(*echoing, max_url_bytes=1024 * 1024, max_header_bytes=2048) as face:
        target = "/values?text=".ljust(900_000, "a") + "%E2%82%AC"
        found, _, text = await ask(face.port, f"GET {target}", (), "")
        assert found == 200
        assert len(json.loads(text)["text"]) == 900_000 - len("/values?text=") + 1
        assert (await ask(face.port, "GET /values", (f"a: {'b' * 3000}",), ""))[0] == 431


@pytest.mark.parametrize("pieces", [0, 1, 7, 18])
async def test_raw_utf8_may_come_in_pieces(values: Face, pieces: int) -> None:
    request = "GET /values?text=€uro#1 HTTP/1.1\r\nHost: a\r\nX-Name: é\r\n\r\n".encode()
    found, answer = await answered(values.port, request, pieces=pieces)
    assert (found, answer["text"]) == (200, "€uro#1")


async def test_raw_utf8_on_a_connection_that_is_kept(values: Face) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", values.port)
    async with asyncio.timeout(10):
        for text in ("€", "a", "é#"):
            body = json.dumps({"text": text}, ensure_ascii=False).encode()
            for request in (
                f"GET /values?text={text} HTTP/1.1\r\nHost: a\r\n\r\n".encode(),
                b"POST /values HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body,
            ):
                writer.write(request)
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                assert json.loads(await reader.readexactly(length))["text"] == text
    writer.close()


async def test_what_is_no_http_is_refused(values: Face) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", values.port)
    writer.write(b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n")
    async with asyncio.timeout(10):
        assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
    writer.close()
