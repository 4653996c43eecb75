"""Keeps idle event streams alive: proxies and browsers give up on a connection that says nothing."""

import asyncio

from adapters.rest.asgi import Send

_COMMENT = b": alive\n\n"


class Heartbeat:
    """Sends a comment when nothing was sent for an interval. One timer per stream, none per message."""

    def __init__(self, send: Send, seconds: float) -> None:
        """Take where to send and how long silence may last; 0 means that it may last for ever."""
        self._send = send
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._last = self._loop.time()
        self._task = self._loop.create_task(self._run()) if seconds > 0 else None

    def rest(self) -> None:
        """Note that something was sent."""
        self._last = self._loop.time()

    async def beat(self) -> None:
        """Send a comment now."""
        self.rest()
        await self._send({"type": "http.response.body", "body": _COMMENT, "more_body": True})

    def stop(self) -> None:
        """End the heart-beat."""
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        while True:
            due = self._last + self._seconds
            await asyncio.sleep(max(0.0, due - self._loop.time()))
            if self._last + self._seconds <= self._loop.time():
                await self.beat()
