"""Watches over a connection: a token in time, an answer to every ping, no life beyond the token's."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from adapters.websocket.codes import EXPIRED, NO_PONG, STALE, Disconnected
from adapters.websocket.replies import PING
from adapters.websocket.settings import WebSocketSettings
from adapters.websocket.tokens import Token


class Watch:
    """The clocks of one connection."""

    def __init__(self, settings: WebSocketSettings, put: Callable[[bytes], Awaitable[None]]) -> None:
        """Take how long to wait for what, and where messages to the client go."""
        self._settings = settings
        self._put = put
        self._ends_at = 0.0
        self._is_connected = asyncio.Event()
        self._was_heard = asyncio.Event()

    def heard(self) -> None:
        """Note that the client sent something: whatever it is, the client lives."""
        self._was_heard.set()

    def token_shown(self, token: Token) -> None:
        """Note that the client has shown a token that is good."""
        self._ends_at = token.expires_at + self._settings.expired_seconds
        self._is_connected.set()

    async def run(self) -> None:
        """Ping until the connection must end.

        Raises:
            Disconnected: no token came in time, no pong did, or the token is no longer good.
        """
        await self._wait(self._is_connected, self._settings.connect_seconds, Disconnected(STALE))
        while True:
            left = self._ends_at - time.time()
            await asyncio.sleep(min(self._settings.ping_seconds, max(left, 0)))
            if self._ends_at <= time.time():
                raise Disconnected(EXPIRED)
            self._was_heard.clear()
            await self._put(PING)
            await self._wait(self._was_heard, self._settings.pong_seconds, Disconnected(NO_PONG))

    @staticmethod
    async def _wait(event: asyncio.Event, seconds: float, otherwise: Disconnected) -> None:
        try:
            async with asyncio.timeout(seconds):
                await event.wait()
        except TimeoutError:
            raise otherwise from None
