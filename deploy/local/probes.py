"""Whether a part is ready, asked over its own protocol with nothing but a socket.

Each probe answers True or False and raises nothing: a part that is not up yet is no error.
"""

import asyncio
import contextlib
import ssl
import struct
from collections.abc import Awaitable, Callable

Probe = Callable[[], Awaitable[bool]]
_Judge = Callable[[asyncio.StreamReader], Awaitable[bool]]

_WAIT_SECONDS = 2.0
_PROTOCOL_3 = 196_608
_KAFKA_API_VERSIONS = 18


async def tcp_open(host: str, port: int) -> bool:
    """Whether something listens there."""
    return await _talk(host, port, b"", _anything)


async def valkey_answers(host: str, port: int, password: str) -> bool:
    """Whether Valkey has loaded its data and accepts the password."""

    async def judge(reader: asyncio.StreamReader) -> bool:
        return (await reader.readline(), await reader.readline()) == (b"+OK\r\n", b"+PONG\r\n")

    return await _talk(host, port, f"AUTH {password}\r\nPING\r\n".encode(), judge)


async def postgres_accepts(host: str, port: int, user: str, database: str) -> bool:
    """Whether PostgreSQL has recovered and asks for a password, as pg_isready tells it."""
    body = struct.pack("!i", _PROTOCOL_3) + f"user\0{user}\0database\0{database}\0\0".encode()

    async def judge(reader: asyncio.StreamReader) -> bool:
        return await reader.read(1) == b"R"

    return await _talk(host, port, struct.pack("!i", len(body) + 4) + body, judge)


async def kafka_answers(host: str, port: int) -> bool:
    """Whether Kafka says which requests it takes."""
    number = b"ask?"  # any four bytes: the answer begins with them
    body = struct.pack("!hh", _KAFKA_API_VERSIONS, 0) + number + struct.pack("!h", -1)

    async def judge(reader: asyncio.StreamReader) -> bool:
        return (await reader.readexactly(8))[4:] == number

    return await _talk(host, port, struct.pack("!i", len(body)) + body, judge)


async def http_ok(host: str, port: int, path: str, contains: bytes = b"", *, with_tls: bool = False) -> bool:
    """Whether GET of the path answers 200, with these bytes in it. Whose certificate it is does not matter here."""
    request = f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode()

    async def judge(reader: asyncio.StreamReader) -> bool:
        status = await reader.readline()
        return status.split(b" ")[1:2] == [b"200"] and (not contains or contains in await reader.read())

    return await _talk(host, port, request, judge, _any_certificate() if with_tls else None)


def _any_certificate() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def _anything(_reader: asyncio.StreamReader) -> bool:
    return True


async def _talk(host: str, port: int, request: bytes, judge: _Judge, tls: ssl.SSLContext | None = None) -> bool:
    try:
        async with asyncio.timeout(_WAIT_SECONDS):
            reader, writer = await asyncio.open_connection(host, port, ssl=tls)
            try:
                writer.write(request)
                return await judge(reader)
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
    except (OSError, EOFError, TimeoutError):
        return False
