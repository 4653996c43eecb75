"""Sends what a request body holds, as it comes, as the messages of a call."""

import asyncio

from adapters.rest.asgi import Receive
from adapters.rest.failures import Failure
from adapters.rest.message_sources import MessageSource
from adapters.rest.upstream import CallOver, StreamCall


class Upload:
    """A task beside the call. When the body is sent it goes on to watch whether the client leaves."""

    def __init__(self, receive: Receive, call: StreamCall, source: MessageSource, *, reports: bool) -> None:
        """Start. With `reports`, a value that does not fit cancels the call; otherwise it ends the upload quietly."""
        self.gone = False
        self.failure: Failure | None = None
        self._receive = receive
        self._call = call
        self._source = source
        self._reports = reports
        self._task = asyncio.get_running_loop().create_task(self._run())

    def stop(self) -> None:
        """End the upload and the watch."""
        self._task.cancel()

    async def _run(self) -> None:
        try:
            await self._send_all()
        except Failure as failure:
            if self._reports:
                self.failure = failure
                self._call.cancel()
                return
        except CallOver:
            pass  # what the call answered is read elsewhere
        if not self.gone and not self._call.done():
            await self._call.done_writing()
        while not self.gone:
            await self._next()

    async def _send_all(self) -> None:
        more = True
        while more and not self.gone:
            chunk, more = await self._next()
            for request in self._source.feed(chunk):
                await self._call.write(request)
        if not self.gone:
            for request in self._source.finish():
                await self._call.write(request)

    async def _next(self) -> tuple[bytes, bool]:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self.gone = True
            self._call.cancel()
        return message.get("body", b""), message.get("more_body", False)
