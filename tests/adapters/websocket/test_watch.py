"""The clocks of a connection."""

import asyncio
import time
from typing import Any

import pytest

from adapters.websocket.codes import EXPIRED, NO_PONG, STALE, Disconnect, Disconnected
from adapters.websocket.settings import WebSocketSettings
from adapters.websocket.tokens import Token
from adapters.websocket.watch import Watch


class Client:
    """Counts pings, and answers them or not."""

    def __init__(self, answers: bool, **settings: Any) -> None:
        self.pings = 0
        self._answers = answers
        self.watch = Watch(WebSocketSettings.model_construct(**(WebSocketSettings().model_dump() | settings)), self.put)

    async def put(self, _message: bytes) -> None:
        """Take a ping."""
        self.pings += 1
        if self._answers:
            self.watch.heard()

    async def end(self) -> Disconnect:
        """Return why the connection ends."""
        with pytest.raises(Disconnected) as raised:
            await asyncio.wait_for(self.watch.run(), 30)
        return raised.value.why


def _token(seconds: float) -> Token:
    return Token("a.b.c", time.time() + seconds)


async def test_a_socket_without_a_token_is_stale() -> None:
    client = Client(answers=True, connect_seconds=0.05)
    assert await client.end() == STALE
    assert client.pings == 0


async def test_a_ping_wants_an_answer() -> None:
    client = Client(answers=False, ping_seconds=0.05, pong_seconds=0.05)
    client.watch.token_shown(_token(60))
    assert await client.end() == NO_PONG
    assert client.pings == 1


async def test_a_connection_outlives_its_token_by_so_much() -> None:
    client = Client(answers=True, ping_seconds=0.05, pong_seconds=60, expired_seconds=0.5)
    client.watch.token_shown(_token(0.5))
    began = time.monotonic()
    assert await client.end() == EXPIRED
    assert time.monotonic() - began > 0.95
    assert client.pings >= 2


async def test_a_new_token_gives_more_time() -> None:
    client = Client(answers=True, expired_seconds=0.1)
    client.watch.token_shown(_token(0.1))
    running = asyncio.create_task(client.end())
    began = time.monotonic()
    client.watch.token_shown(_token(1))
    assert await running == EXPIRED
    assert time.monotonic() - began > 1, "it was the first token's end"
