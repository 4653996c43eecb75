"""Sends the JSON values of a request body, as they come, as the messages of a call."""

import asyncio
from typing import Any

import grpc

from adapters.rest.asgi import Receive
from adapters.rest.binding import RequestBinder
from adapters.rest.codec import JsonInvalid
from adapters.rest.failures import Failure, invalid_field
from adapters.rest.json_splitter import JsonSplitter


class Upload:
    """A task beside the call. When the body is sent it goes on to watch whether the client leaves."""

    def __init__(self, receive: Receive, call: Any, binder: RequestBinder, limit: int, *, reports: bool) -> None:
        """Start. With `reports`, a value that does not fit cancels the call; otherwise it ends the upload quietly."""
        self.gone = False
        self.failure: Failure | None = None
        self._receive = receive
        self._call = call
        self._binder = binder
        self._splitter = JsonSplitter(limit)
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
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            pass  # the call is over; what it answered is read elsewhere
        if not self.gone and not self._call.done():
            await self._call.done_writing()
        while not self.gone:
            await self._next()

    async def _send_all(self) -> None:
        more = True
        while more and not self.gone:
            chunk, more = await self._next()
            for value in self._splitter.feed(chunk):
                await self._call.write(self._binder.read_message(value))
        if not self.gone:
            try:
                for value in self._splitter.finish():
                    await self._call.write(self._binder.read_message(value))
            except JsonInvalid as error:
                raise invalid_field("", str(error), go=error.go) from None

    async def _next(self) -> tuple[bytes, bool]:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self.gone = True
            self._call.cancel()
        return message.get("body", b""), message.get("more_body", False)
