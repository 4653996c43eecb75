"""Whether a part is ready, asked over its own protocol with nothing but a socket.

Each probe answers True or False and raises nothing: a part that is not up yet is no error.
"""

import asyncio
import contextlib
import struct
from collections.abc import Awaitable, Callable

Probe = Callable[[], Awaitable[bool]]

_WAIT_SECONDS = 2.0
_PROTOCOL_3 = 196_608


async def tcp_open(host: str, port: int) -> bool:
    """Whether something listens there."""
    return await _talk(host, port, b"", lambda _: True, reads=False)


async def valkey_answers(host: str, port: int, password: str) -> bool:
    """Whether Valkey has loaded its data and accepts the password."""
    return await _talk(host, port, f"AUTH {password}\r\nPING\r\n".encode(), lambda data: b"+PONG" in data, lines=2)


async def postgres_accepts(host: str, port: int, user: str, database: str) -> bool:
    """Whether PostgreSQL has recovered and asks for a password, as pg_isready tells it."""
    body = struct.pack("!i", _PROTOCOL_3) + f"user\0{user}\0database\0{database}\0\0".encode()
    return await _talk(host, port, struct.pack("!i", len(body) + 4) + body, lambda data: data[:1] == b"R")


async def http_ok(host: str, port: int, path: str) -> bool:
    """Whether GET of the path answers 200."""
    request = f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode()
    return await _talk(host, port, request, lambda data: data.split(b" ")[1:2] == [b"200"], lines=1)


async def _talk(
    host: str, port: int, request: bytes, good: Callable[[bytes], bool], *, lines: int = 0, reads: bool = True
) -> bool:
    try:
        async with asyncio.timeout(_WAIT_SECONDS):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(request)
                answer = b""
                if lines:
                    for _ in range(lines):
                        answer += await reader.readline()
                elif reads:
                    answer = await reader.read(1)
                return good(answer)
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
    except (OSError, TimeoutError):
        return False
