"""Heads of requests that are too long, or that Envoy itself cannot pass on: refused with a status and JSON."""

import asyncio
import json
from functools import partial

import httpx
import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, ResponseReceived, StreamReset

from tests.deploy.running_envoy import House

KIB = 1024
FITS, TOO_LONG = 120 * KIB, 300 * KIB


LONG = {
    "a path": (414, f"/?{'a' * FITS}", ()),
    "headers": (200, "/", tuple((f"x-{n}", "a" * 20_000) for n in range(6))),
}


@pytest.mark.parametrize(("over", "part"), [("HTTP/1.1", "a path"), ("HTTP/1.1", "headers"), ("HTTP/2", "headers")])
async def test_the_adapter_is_asked_what_is_too_long(house: House, over: str, part: str) -> None:
    # The double answers lines of more than 64 KiB as the adapter does, and has no limit of its own for all headers.
    status, path, headers = LONG[part]
    if over == "HTTP/2":
        assert await _status_over_h2(house.edge, path, headers) == status
    else:
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
        line, _body = await _answer(house.edge, f"GET {path} HTTP/1.1\r\nhost: a\r\n{lines}".encode())
        assert int(line.split()[1]) == status


@pytest.mark.parametrize(("path", "headers"), [(f"/?{'a' * 64_000}", ()), ("/", (("x-long", "a" * 64_000),))])
async def test_what_the_adapter_allows_reaches_it_over_http_2(
    house: House, path: str, headers: tuple[tuple[str, str], ...]
) -> None:
    assert await _status_over_h2(house.edge, path, headers) == 200


async def test_what_is_longer_still_is_refused_by_envoy(edge: httpx.AsyncClient) -> None:
    for headers in ({"x-long": "a" * TOO_LONG}, {f"x-{n}": "a" for n in range(110)}):
        answer = await edge.get("/", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (431, 8)


REFUSED = [
    (b"GET /?lang=\xe2\x82\xac HTTP/1.1\r\nhost: a\r\n", 400, 3, "percent-encoded"),
    (b"GET /api/v1/users/\xff HTTP/1.1\r\nhost: a\r\n", 400, 3, "percent-encoded"),
    (b"GET / HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\nconnection: upgrade\r\n", 403, 7, "this way"),
    (b"GET https://edge.test/ HTTP/1.1\r\nhost: a\r\n", 403, 7, "this way"),
    (b"GET / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip\r\n", 501, 12, "not implemented"),
    (b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ncontent-length: 3\r\n", 400, 3, "malformed"),
    (b"GET / HTTP/1.0\r\nhost: a\r\n", 426, 9, "protocol version"),
]


@pytest.mark.parametrize(("head", "status", "code", "words"), REFUSED)
async def test_what_cannot_be_passed_on_says_why(house: House, head: bytes, status: int, code: int, words: str) -> None:
    line, body = await _answer(house.edge, head)
    said = json.loads(body)
    assert (int(line.split()[1]), said["code"]) == (status, code)
    assert words in said["message"]


async def _status_over_h2(port: int, path: str, headers: tuple[tuple[str, str], ...]) -> int | None:
    """Return the status of the answer, or None when the stream is reset."""
    connection = H2Connection(H2Configuration(client_side=True))
    # Its compression of long values takes minutes.
    setattr(connection.encoder, "encode", partial(connection.encoder.encode, huffman=False))  # noqa: B010
    connection.initiate_connection()
    names = [(":method", "GET"), (":scheme", "http"), (":authority", "edge"), (":path", path)]
    connection.send_headers(1, [*names, *headers], end_stream=True)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(connection.data_to_send())
    try:
        async with asyncio.timeout(20):
            while data := await reader.read(64 * KIB):
                for event in connection.receive_data(data):
                    if isinstance(event, ResponseReceived):
                        return int(dict(event.headers or ())[b":status"])
                    if isinstance(event, StreamReset | ConnectionTerminated):
                        return None
    finally:
        writer.close()
    return None


async def _answer(port: int, head: bytes) -> tuple[bytes, bytes]:
    """Send a head, and return the first line of the answer and its body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head + b"connection: close\r\n\r\n")
    async with asyncio.timeout(20):
        first, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    return first.partition(b"\r\n")[0], body
