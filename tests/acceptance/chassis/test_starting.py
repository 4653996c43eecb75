"""A process that starts while PostgreSQL does: it waits, or says in one line why it does not start."""

import asyncio
import os
import struct
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from sqlalchemy.ext.asyncio import create_async_engine

from services.chassis.database import Database, until_ready

_SSL_REQUEST = 80_877_103
_TIMES = 3


@asynccontextmanager
async def starting(sockets: str, times: int) -> AsyncIterator[int]:
    """Stand before a real PostgreSQL and answer as one that starts does, so many times; yields the port."""
    left = times

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal left
        first = await _packet(reader)
        if struct.unpack("!i", first[4:8]) == (_SSL_REQUEST,):
            writer.write(b"N")
            first = await _packet(reader)
        if left:
            left -= 1
            fields = b"SFATAL\0VFATAL\0C57P03\0Mthe database system is starting up\0\0"
            writer.write(b"E" + struct.pack("!i", len(fields) + 4) + fields)
        else:
            there, to = await asyncio.open_unix_connection(f"{sockets}/.s.PGSQL.5432")
            to.write(first)
            await asyncio.gather(_pipe(reader, to), _pipe(there, writer))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
    assert left == 0


async def _packet(reader: asyncio.StreamReader) -> bytes:
    length = await reader.readexactly(4)
    return length + await reader.readexactly(struct.unpack("!i", length)[0] - 4)


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
    writer.close()


async def test_a_postgres_that_is_starting_is_waited_for(database: Database, postgres_url: str) -> None:
    async with starting(postgres_url.partition("host=")[2], _TIMES) as port:
        engine = create_async_engine(f"postgresql+asyncpg://postgres@127.0.0.1:{port}/postgres")
        await until_ready(engine)
        await engine.dispose()


async def test_a_database_that_there_is_not_stops_the_start_with_one_line(postgres_url: str, tmp_path: Path) -> None:
    url = postgres_url.replace("/postgres?", "/nowhere?")
    given = {"PARLEY_DATABASE_URL": url, "PARLEY_SECRET": "s" * 32, "PARLEY_HOME": str(tmp_path)}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services", "migrate", "identity"),
        env={**os.environ, **given},
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    assert process.returncode == 1
    assert said.decode() == 'parley migrate: PostgreSQL: database "nowhere" does not exist\n'
