"""Bodies that are no JSON: raw ones and forms, whole and as streams."""

import asyncio
import hashlib
import os
import socket
import sys
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import zstandard

from adapters.rest.descriptors import DescriptorSet, message_class
from adapters.rest.openapi import openapi_document
from tests.adapters.conftest import Face
from tests.adapters.upstreams import compiled, facing, serving

SERVICE = "trial.uploads.v1.UploadService"
PIECE, MAX_UPLOAD = 64 * 1024, 4 * 1024 * 1024


class Store:
    """The upstream: it tells what came."""

    def __init__(self, types: DescriptorSet) -> None:
        self._stored: Any = message_class(types.pool.FindMessageTypeByName("trial.uploads.v1.Stored"))
        self.goes_on = asyncio.Event()
        self.goes_on.set()
        self.left = asyncio.Event()
        self.came = asyncio.Event()

    async def store(self, requests: AsyncIterator[Any], _context: Any) -> Any:
        stored, digest = self._stored(), hashlib.sha256()
        try:
            async for request in requests:
                self._take(stored, digest, request)
                self.came.set()
                await self.goes_on.wait()
        except asyncio.CancelledError:
            self.left.set()
            raise
        stored.sha256 = digest.hexdigest()
        return stored

    async def measure(self, requests: AsyncIterator[Any], _context: Any) -> AsyncIterator[Any]:
        async for request in requests:
            yield self._stored(size=len(request.data))
            if request.data.startswith(b"stop"):
                return

    async def keep(self, request: Any, _context: Any) -> Any:
        stored, digest = self._stored(), hashlib.sha256()
        self._take(stored, digest, request)
        stored.sha256 = digest.hexdigest()
        return stored

    def _take(self, stored: Any, digest: Any, request: Any) -> None:
        fields = request.DESCRIPTOR.fields_by_name
        body = request.file if "file" in fields else request
        digest.update(body.data)
        stored.size += len(body.data)
        stored.messages += 1
        stored.largest = max(stored.largest, len(body.data))
        stored.content_types.append(getattr(body, "content_type", ""))
        if "folder" in fields:
            stored.folders.append(request.folder)
            stored.title += request.title
            stored.copies += request.copies
        elif "name" in fields:
            stored.title += request.name


@pytest.fixture(scope="module")
def uploads(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, DescriptorSet]:
    """The descriptor set."""
    return compiled("uploads.proto", tmp_path_factory.mktemp("uploads"))


@pytest.fixture(scope="module")
def store(uploads: tuple[Path, DescriptorSet]) -> Store:
    """The upstream's RPCs."""
    return Store(uploads[1])


@pytest.fixture(scope="module")
async def upstream(uploads: tuple[Path, DescriptorSet], store: Store) -> AsyncIterator[str]:
    """The upstream's address."""
    behaviors = {
        "Store": store.store,
        "StoreFile": store.store,
        "Measure": store.measure,
        "Keep": store.keep,
        "KeepBytes": store.keep,
    }
    async with serving(uploads[1], {f"{SERVICE}.{name}": what for name, what in behaviors.items()}) as address:
        yield address


@pytest.fixture(scope="module")
async def face(uploads: tuple[Path, DescriptorSet], upstream: str) -> AsyncIterator[Face]:
    """The adapter."""
    settings = {"raw_uploads": True, "compress": True, "max_upload_bytes": MAX_UPLOAD, "max_body_bytes": MAX_UPLOAD}
    async with facing(uploads[0], upstream, **settings) as running:
        yield running


async def test_a_raw_body_goes_up_in_pieces(face: Face) -> None:
    content = os.urandom(1_000_000)
    answer = await face.client.post("/v1/store", content=content, headers={"content-type": "image/png"})
    stored = answer.json()
    assert (stored["size"], stored["sha256"]) == ("1000000", hashlib.sha256(content).hexdigest())
    assert int(stored["largest"]) <= PIECE
    assert stored["messages"] >= 1_000_000 // PIECE
    assert [one for one in stored["contentTypes"] if one] == ["image/png"]
    assert stored["contentTypes"][0] == "image/png"


async def test_the_first_message_has_what_path_and_query_give(face: Face) -> None:
    content = os.urandom(300_000)
    answer = await face.client.post(
        "/v1/folders/a%20b/files?title=T&copies=2", content=content, headers={"content-type": "video/mp4"}
    )
    stored = answer.json()
    assert (stored["title"], stored["copies"], stored["size"]) == ("T", 2, "300000")
    assert [one for one in stored["folders"] if one] == ["a b"]
    assert stored["folders"][0] == "a b"
    empty = await face.client.post("/v1/folders/f/files", headers={"content-type": "text/plain"})
    assert (empty.json()["messages"], empty.json()["folders"]) == (1, ["f"])


async def test_json_stays_json(face: Face) -> None:
    values = '{"file":{"contentType":"a/b","data":"aGk="},"title":"T"}{"file":{"data":"IQ=="}}'
    answer = await face.client.post("/v1/folders/f/files", content=values, headers={"content-type": "application/json"})
    stored = answer.json()
    assert (stored["size"], stored["messages"], stored["contentTypes"]) == ("3", 2, ["a/b", ""])
    assert (stored["folders"], stored["title"]) == (["f", ""], "T")


FORM = {"title": "T", "copies": "2"}


async def test_a_form_brings_a_file_and_fields(face: Face) -> None:
    content = os.urandom(400_000)
    file = {"upload": ("photo.png", content, "image/png")}
    for verb, path in (("POST", "/v1/folders/f/files"), ("PUT", "/v1/folders/f/file")):
        stored = (await face.client.request(verb, path, data=FORM, files=file)).json()
        assert (stored["size"], stored["sha256"]) == ("400000", hashlib.sha256(content).hexdigest())
        assert (stored["title"], stored["copies"], stored["folders"][0]) == ("T", 2, "f")
        assert stored["contentTypes"][0] == "image/png"
    empty = await face.client.post("/v1/folders/f/files", files={"file": ("none", b"", "a/b")})
    assert (empty.json()["messages"], empty.json()["size"]) == (1, "0")


def part(name: str, text: str, *, file: bool = False, headers: str = "") -> str:
    filename = '; filename="x"' if file else ""
    return f'--b\r\nContent-Disposition: form-data; name="{name}"{filename}\r\n{headers}\r\n{text}\r\n'


FILE = part("f", "hello", file=True)
BAD_FORMS = [
    (part("copies", "many") + FILE + "--b--", 400, 'parsing field "copies"'),
    (FILE + FILE + "--b--", 400, 'part "f": there is a file already'),
    (FILE + part("title", "T") + "--b--", 400, 'part "title": fields stand before the file'),
    (part("title", "T") + "--b--", 400, "no part is a file"),
    (FILE, 400, "it ends in part 1"),
    ("--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--", 400, "part 1: expected Content-Disposition"),
    ("nonsense", 400, "malformed multipart body"),
    (part("title", "x" * 70_000) + FILE + "--b--", 413, 'part "title": a field is larger'),
    (part("title", "T") * 101 + FILE + "--b--", 413, "more than 100 parts"),
    (part("f", "x", file=True, headers=f"X: {'y' * 10_000}\r\n") + "--b--", 413, "part 1: its headers are too large"),
]


@pytest.mark.parametrize(("body", "status", "problem"), BAD_FORMS)
async def test_a_bad_form_is_refused_by_name(face: Face, body: str, status: int, problem: str) -> None:
    headers = {"content-type": "multipart/form-data; boundary=b"}
    answer = await face.client.post("/v1/folders/f/files", content=body, headers=headers)
    assert (answer.status_code, problem in answer.json()["message"]) == (status, True), answer.text


async def test_fields_may_follow_the_file_of_a_whole_request(face: Face) -> None:
    headers = {"content-type": 'multipart/form-data; boundary="b"'}
    answer = await face.client.put(
        "/v1/folders/f/file", content=FILE + part("title", "T") + "--b--\r\n", headers=headers
    )
    assert (answer.json()["title"], answer.json()["size"]) == ("T", "5")
    no_boundary = await face.client.put(
        "/v1/folders/f/file", content="x", headers={"content-type": "multipart/form-data"}
    )
    assert (no_boundary.status_code, "boundary" in no_boundary.text) == (400, True)


async def test_bytes_fields_take_raw_bodies_too(face: Face) -> None:
    raw = await face.client.put("/v1/bytes/n", content=b"\x00\xff", headers={"content-type": "a/b"})
    assert (raw.json()["size"], raw.json()["title"]) == ("2", "n")
    form = await face.client.put("/v1/bytes/n", files={"data": (None, b"123")})
    assert form.json()["size"] == "3"


async def test_pieces_are_answered_while_the_body_comes(face: Face) -> None:
    reader, writer = await uploading_to(face, "/v1/measure")
    for text, size in ((b"one", "3"), (b"stop", "4")):
        writer.write(b"%x\r\n%s\r\n" % (len(text), text))
        await asyncio.wait_for(reader.readuntil(f'"size":"{size}"'.encode()), 10)
    assert await asyncio.wait_for(reader.readuntil(b"0\r\n\r\n"), 10)
    writer.close()


async def uploading_to(face: Face, path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", face.port)
    head = f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: a/b\r\nTransfer-Encoding: chunked\r\n\r\n"
    writer.write(head.encode())
    return reader, writer


async def test_a_body_that_is_too_large_is_refused(face: Face) -> None:
    async def body() -> AsyncIterator[bytes]:
        for _ in range(MAX_UPLOAD // PIECE + 2):
            yield b"x" * PIECE

    for path in ("/v1/store", "/v1/folders/f/files"):
        for content in (b"x" * (MAX_UPLOAD + 1), body()):
            answer = await face.client.post(path, content=content, headers={"content-type": "a/b"})
            assert (answer.status_code, answer.json()["code"]) == (413, 8)


async def test_a_slow_upstream_holds_the_client_back(
    uploads: tuple[Path, DescriptorSet], upstream: str, store: Store
) -> None:
    total, sent = 1024, 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(total):
            yield b"x" * PIECE
            sent += 1

    store.goes_on.clear()
    async with facing(uploads[0], upstream, raw_uploads=True) as face:
        uploading = asyncio.create_task(face.client.post("/v1/store", content=body(), headers={"content-type": "a/b"}))
        try:
            before = -1
            while sent != before or not sent:  # until nothing moves any more
                before = sent
                await asyncio.sleep(0.3)
            assert sent < total / 2
        finally:
            store.goes_on.set()
        assert (await uploading).json()["size"] == str(total * PIECE)


async def test_memory_stays_flat(uploads: tuple[Path, DescriptorSet], upstream: str) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    flags = ["--descriptor-set", str(uploads[0]), "--upstream", upstream, "--listen", f"127.0.0.1:{port}"]
    command = (sys.executable, "-m", "services", "rest", *flags, "--raw-uploads")
    process = await asyncio.create_subprocess_exec(*command)
    url, headers, megabytes = f"http://127.0.0.1:{port}", {"content-type": "a/b"}, 192

    async def body() -> AsyncIterator[bytes]:
        for _ in range(megabytes):
            yield b"x" * 1024 * 1024

    try:
        async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
            while process.returncode is None:
                try:
                    await client.post(f"{url}/v1/store", content=b"x" * PIECE, headers=headers)
                    break
                except httpx.ConnectError:
                    await asyncio.sleep(0.05)
            memory = psutil.Process(process.pid).memory_info().rss
            uploading = asyncio.create_task(client.post(f"{url}/v1/store", content=body(), headers=headers))
            most = 0
            while not uploading.done():
                most = max(most, psutil.Process(process.pid).memory_info().rss)
                await asyncio.sleep(0.02)
            assert (await uploading).json()["size"] == str(megabytes * 1024 * 1024)
        print(f"{(most - memory) / 2**20:.1f} MiB more for an upload of {megabytes} MiB")
        assert most - memory < 32 * 1024 * 1024
    finally:
        process.terminate()
        await process.wait()


def gzipped(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=31)
    return packer.compress(data) + packer.flush()


async def test_compressed_bodies_are_decoded(face: Face) -> None:
    content = os.urandom(100_000) + b"x" * 200_000
    for coding, packed in (("gzip", gzipped(content)), ("zstd", zstandard.compress(content)), ("identity", content)):
        headers = {"content-type": "a/b", "content-encoding": coding}
        for verb, path in (("POST", "/v1/store"), ("PUT", "/v1/folders/f/file")):
            stored = (await face.client.request(verb, path, content=packed, headers=headers)).json()
            assert stored["sha256"] == hashlib.sha256(content).hexdigest()


async def test_bombs_and_broken_bodies_are_refused(face: Face) -> None:
    bomb = b"\x00" * (MAX_UPLOAD * 8)
    for coding, packed in (("gzip", gzipped(bomb)), ("zstd", zstandard.compress(bomb))):
        headers = {"content-type": "a/b", "content-encoding": coding}
        assert len(packed) < 100_000
        for verb, path in (("POST", "/v1/store"), ("PUT", "/v1/folders/f/file")):
            answer = await face.client.request(verb, path, content=packed, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (413, 8)
            for broken in (packed[:-5], b"nonsense"):
                answer = await face.client.request(verb, path, content=broken[:50], headers=headers)
                assert (answer.status_code, f"not whole {coding}" in answer.text) == (400, True)
    unknown = await face.client.put(
        "/v1/folders/f/file", content=b"x", headers={"content-type": "a/b", "content-encoding": "br"}
    )
    assert (unknown.status_code, unknown.headers["accept-encoding"]) == (415, "gzip, zstd")


async def test_without_the_switch_everything_is_json(uploads: tuple[Path, DescriptorSet], upstream: str) -> None:
    # As grpc-gateway, the adapter then refuses to start with a variable in the path of an upload stream.
    types = uploads[0].read_bytes().replace(b"/v1/folders/{folder}/files", b"/v1/folders/all-folders/fi")
    path = uploads[0].with_name("plain.binpb")
    path.write_bytes(types)
    async with facing(path, upstream) as plain:
        raw = await plain.client.put("/v1/bytes/n", content=b"\xff", headers={"content-type": "a/b"})
        assert raw.status_code == 400
        as_json = await plain.client.put("/v1/bytes/n", content=b'"aGk="', headers={"content-type": "a/b"})
        assert as_json.json()["size"] == "2"


def test_the_document_offers_raw_bodies_where_they_are_taken(uploads: tuple[Path, DescriptorSet]) -> None:
    for raw, offered in ((True, {"application/json", "*/*", "multipart/form-data"}), (False, {"application/json"})):
        document = openapi_document(uploads[1], "Uploads", "1", raw_uploads=raw)
        for path in ("/v1/store", "/v1/bytes/{name}"):
            (operation,) = document["paths"][path].values()
            assert operation["requestBody"]["content"].keys() == offered


async def test_a_client_that_leaves_ends_the_upload(face: Face, store: Store) -> None:
    store.left.clear()
    store.came.clear()
    # The upstream waits for something else than the next piece: to one that reads, grpc.aio shows a cancelled call as
    # the end of the pieces.
    store.goes_on.clear()
    _, writer = await uploading_to(face, "/v1/store")
    writer.write(b"1\r\nx\r\n")
    await asyncio.wait_for(store.came.wait(), 10)
    writer.close()
    await asyncio.wait_for(store.left.wait(), 10)
    store.goes_on.set()


async def test_a_two_way_stream_ends_with_what_was_wrong(face: Face) -> None:
    reader, writer = await uploading_to(face, "/v1/measure")
    writer.write(b"3\r\none\r\n")
    await asyncio.wait_for(reader.readuntil(b'"size":"3"'), 10)
    # The rest goes into the socket while the answers come out of it.
    copying = asyncio.create_task(reader.readuntil(b"0\r\n\r\n"))
    for _ in range(MAX_UPLOAD // PIECE):
        writer.write(b"10000\r\n" + b"x" * PIECE + b"\r\n")
        await writer.drain()
    answer = await asyncio.wait_for(copying, 10)
    assert f'{{"error":{{"code":8,"message":"the request body is larger than {MAX_UPLOAD} bytes"'.encode() in answer
    writer.close()
