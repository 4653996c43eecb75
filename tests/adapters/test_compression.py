"""Compressed answers: each message of a stream goes out at once, small bodies and foreign types stay as they are."""

import asyncio
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import brotli  # type: ignore[import-untyped]
import httpx
import pytest
import zstandard

from tests.adapters.conftest import Face
from tests.adapters.upstreams import facing

CODINGS = ("gzip", "br", "zstd")


@pytest.fixture(scope="module")
async def packing(trial_set: Path, upstream: str) -> AsyncIterator[Face]:
    """The adapter with `compress`."""
    async with facing(trial_set, upstream, dialect="parley", compress=True, heartbeat_seconds=0.2) as face:
        yield face


def unpacked(coding: str, data: bytes) -> bytes:
    """Return as much as a piece of a compressed body holds."""
    if coding == "gzip":
        return zlib.decompressobj(wbits=31).decompress(data)
    if coding == "br":
        return bytes(brotli.Decompressor().process(data))
    return zstandard.ZstdDecompressor().decompressobj().decompress(data)


@pytest.mark.parametrize("coding", CODINGS)
async def test_an_answer_is_compressed_as_asked(packing: Face, coding: str) -> None:
    text = "x" * 5000
    async with packing.client.stream(
        "POST", "/v1/echo", json={"text": text}, headers={"accept-encoding": coding}
    ) as answer:
        raw = b"".join([piece async for piece in answer.aiter_raw()])
    assert answer.headers["content-encoding"] == coding
    assert answer.headers["vary"] == "Accept-Encoding"
    assert answer.headers["content-length"] == str(len(raw))
    assert len(raw) < 1500
    assert f'"text":"{text}"'.encode() in unpacked(coding, raw)


async def test_what_is_small_or_not_wanted_stays_as_it_is(packing: Face) -> None:
    for sent in ({"accept-encoding": "gzip;q=0"}, {"accept-encoding": "identity"}, {}):
        client = packing.client
        request = client.build_request("POST", "/v1/echo", json={"text": "x" * 5000}, headers=sent)
        if not sent:
            del request.headers["accept-encoding"]
        answer = await client.send(request)
        assert "content-encoding" not in answer.headers
        assert answer.headers["vary"] == "Accept-Encoding"
    small = await packing.client.get("/v1/users/a", headers={"accept-encoding": "identity, gzip"})
    assert "content-encoding" not in small.headers
    assert small.json()["id"] == "a"
    page = await packing.client.get("/api/docs/openapi.json", headers={"accept-encoding": "gzip"})
    assert page.headers["content-encoding"] == "gzip"
    assert page.json()["openapi"] == "3.1.0"


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize(
    ("accept", "piece"),
    [
        ("application/json", b'{"sequence":3'),
        ("text/event-stream", b'data: {"sequence":3'),
        ("application/json; stream=array", b'{"sequence":3'),
    ],
)
async def test_each_message_of_a_stream_goes_out_at_once(packing: Face, coding: str, accept: str, piece: bytes) -> None:
    headers = {"accept": accept, "accept-encoding": coding}
    # The stream stays open after its three messages: they must have come all the same.
    async with packing.client.stream("GET", "/v1/ticks?count=3&hang=true", headers=headers) as answer:
        assert answer.headers["content-encoding"] == coding
        assert answer.headers["content-type"] == accept.partition(";")[0]
        raw = b""

        async def third() -> None:
            nonlocal raw
            async for chunk in answer.aiter_raw():
                raw += chunk
                if piece in unpacked(coding, raw):
                    return

        await asyncio.wait_for(third(), 10)
    assert len(raw) > 20


async def test_a_stream_that_ends_is_whole(packing: Face) -> None:
    answer = await packing.client.get("/v1/ticks?count=200", headers={"accept-encoding": "gzip"})
    assert len(answer.text.splitlines()) == 200
    plain = httpx.Headers({"accept-encoding": "identity"})
    assert (await packing.client.get("/v1/ticks?count=200", headers=plain)).text == answer.text
    empty = await packing.client.get("/v1/ticks", headers={"accept": "text/event-stream", "accept-encoding": "gzip"})
    assert (empty.status_code, empty.content) == (204, b"")


async def test_trailers_still_come(packing: Face) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", packing.port)
    body = b'{"text":"%s"}' % (b"x" * 5000)
    writer.write(
        b"POST /v1/echo HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nAccept-Encoding: gzip\r\nConnection: close\r\n"
        b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
    )
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    assert b"content-encoding: gzip\r\n" in answer
    assert answer.endswith(b"\r\n\r\n")
    assert b"\r\n0\r\n" in answer
