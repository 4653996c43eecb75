"""One client: its commands are carried out in their order, calls and subscriptions beside each other."""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any
from uuid import uuid4

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from adapters.websocket.codes import (
    BAD_REQUEST,
    INVALID_TOKEN,
    SERVER_ERROR,
    SHUTDOWN,
    Disconnect,
    Disconnected,
    Refusal,
    already_subscribed,
    internal,
    limit_exceeded,
    not_available,
    token_expired,
    too_many_requests,
)
from adapters.websocket.commands import Command, FrameInvalid, read_frame
from adapters.websocket.handshake import forwarded
from adapters.websocket.outbox import Outbox
from adapters.websocket.replies import disconnected, refusal, reply
from adapters.websocket.runs import RunSubscription, read_channel
from adapters.websocket.settings import WebSocketSettings
from adapters.websocket.tokens import Token, TokenMalformed, read_token
from adapters.websocket.upstream import Upstream
from adapters.websocket.watch import Watch

_log = logging.getLogger(__name__)
_CLOSE_SECONDS = 1.0
_LAST_CALLS_SECONDS = 3.0
_WATCH_AGAIN_SECONDS = (0.2, 1.5)

Work = Callable[[], Coroutine[Any, Any, None]]


class Connection:
    """A socket and what its client does on it."""

    def __init__(self, socket: ServerConnection, upstream: Upstream, settings: WebSocketSettings) -> None:
        """Take the open socket."""
        self.client_id = str(uuid4())
        self._socket = socket
        self._upstream = upstream
        self._settings = settings
        self._headers = forwarded(socket)
        self._outbox = Outbox(
            max_messages=settings.max_queue_messages,
            max_bytes=settings.max_queue_bytes,
            slow_seconds=settings.slow_seconds,
        )
        self._watch = Watch(settings, self._outbox.put)
        self._token: Token | None = None
        self._user_id = ""
        self._tasks: set[asyncio.Task[None]] = set()
        self._calls: set[asyncio.Task[None]] = set()
        self._subscriptions: dict[str, tuple[RunSubscription, asyncio.Task[None]]] = {}
        self._session_watch: asyncio.Task[None] | None = None
        self._ended: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def serve(self) -> None:
        """Serve the client until it leaves or must leave."""
        for work in (self._read, partial(self._outbox.write_to, self._socket.send), self._watch.run):
            self._start(work)
        try:
            why = await self._ended
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
        if why is not None:
            _log.info("client %s is disconnected: %s %s", self.client_id, *why)
            await self._close(why)

    async def leave(self) -> None:
        """Let the calls that are under way end, then ask the client to come back elsewhere."""
        for work, seconds in ((self._last_calls, _LAST_CALLS_SECONDS), (self._say_goodbye, _CLOSE_SECONDS)):
            step: asyncio.Future[Any] = asyncio.create_task(work())
            await asyncio.wait({step, self._ended}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            step.cancel()
        self._end(SHUTDOWN)

    async def _last_calls(self) -> None:
        if self._calls:
            await asyncio.wait(self._calls)

    async def _say_goodbye(self) -> None:
        with contextlib.suppress(Disconnected):
            await self._outbox.put(disconnected(SHUTDOWN))
            await self._outbox.flush()

    def _end(self, why: Disconnect | None) -> None:
        if not self._ended.done():
            self._ended.set_result(why)

    async def _close(self, why: Disconnect) -> None:
        # Of a client that does not read, not even the close frame can be got rid of.
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self._socket.close(why.code, why.reason)
        except TimeoutError:
            self._socket.transport.abort()

    def _start(self, work: Work) -> asyncio.Task[None]:
        task = asyncio.create_task(self._guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _guarded(self, work: Work) -> None:
        try:
            await work()
        except Disconnected as error:
            self._end(error.why)
        except FrameInvalid as error:
            _log.debug("client %s: %s", self.client_id, error)
            self._end(BAD_REQUEST)
        except ConnectionClosed:
            self._end(None)
        except Exception:
            _log.exception("client %s: a bug", self.client_id)
            self._end(SERVER_ERROR)

    async def _read(self) -> None:
        async for frame in self._socket:
            self._watch.heard()
            for command in read_frame(frame):
                if not command.is_pong:
                    await self._answered(command.id, partial(self._carry_out, command))
        self._end(None)

    async def _answered(self, number: int, work: Work) -> None:
        try:
            await work()
        except Refusal as error:
            await self._outbox.put(refusal(number, error))

    async def _carry_out(self, command: Command) -> None:
        if (command.kind == "connect") is not (self._token is None):
            raise Disconnected(BAD_REQUEST)
        match command.kind:
            case "connect" | "refresh":
                await self._show_token(command)
            case "subscribe":
                self._subscribe(command)
            case "unsubscribe":
                await self._unsubscribe(command)
            case "rpc":
                self._call(command)
            case "ping":
                await self._outbox.put(reply(command.id, "ping", {}))
            case "send":
                _log.debug("client %s sent a message that nobody takes", self.client_id)
            case _:
                raise not_available()

    async def _show_token(self, command: Command) -> None:
        try:
            token = read_token(command.text("token"))
        except TokenMalformed:
            raise Disconnected(INVALID_TOKEN) from None
        if token.expires_at <= time.time():
            raise token_expired()
        user_id = await self._upstream.user_of(token, self._headers)
        if self._user_id not in ("", user_id):
            raise Disconnected(INVALID_TOKEN)
        self._user_id, before, self._token = user_id, self._token, token
        if before is None or before.session_id != token.session_id:
            self._watch_session()
        self._watch.token_shown(token)
        # Strangers have no use for large frames.
        self._socket.protocol.max_message_size = self._settings.max_frame_bytes
        result = {"client": self.client_id, "version": "parley", "expires": True, "ttl": token.ttl(time.time())}
        if command.kind == "connect":
            result |= {"ping": self._settings.ping_seconds, "pong": True}
        await self._outbox.put(reply(command.id, command.kind, result))

    def _watch_session(self) -> None:
        if self._session_watch is not None:
            self._session_watch.cancel()
        self._session_watch = self._start(self._end_with_session)

    async def _end_with_session(self) -> None:
        while True:
            await self._upstream.watch_session(self._shown, self._headers)
            # Not all at once when the services come back.
            await asyncio.sleep(random.uniform(*_WATCH_AGAIN_SECONDS))  # noqa: S311 -- no secret

    def _subscribe(self, command: Command) -> None:
        channel = read_channel(command)
        if channel.name in self._subscriptions:
            raise already_subscribed()
        if len(self._subscriptions) >= self._settings.max_subscriptions:
            raise limit_exceeded()
        subscription = RunSubscription(channel, self._outbox.put)
        task = self._start(partial(self._answered, command.id, partial(self._follow, subscription)))
        self._subscriptions[channel.name] = subscription, task

    async def _follow(self, subscription: RunSubscription) -> None:
        try:
            await subscription.follow(self._upstream, self._shown, self._headers)
        finally:
            self._subscriptions.pop(subscription.channel.name, None)

    async def _unsubscribe(self, command: Command) -> None:
        found = self._subscriptions.pop(command.text("channel"), None)
        if found is not None:
            subscription, task = found
            task.cancel()
            await asyncio.wait({task})
            if not subscription.is_answered:
                await self._outbox.put(refusal(subscription.channel.number, internal()))
        await self._outbox.put(reply(command.id, "unsubscribe", {}))

    def _call(self, command: Command) -> None:
        if len(self._calls) >= self._settings.max_calls:
            raise too_many_requests()
        method, data = command.text("method"), command.params.get("data")
        self._upstream.check(method, command.size)
        answer = partial(self._answer_call, command.id, method, data)
        task = self._start(partial(self._answered, command.id, answer))
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)

    async def _answer_call(self, number: int, method: str, data: Any) -> None:
        answer = await self._upstream.call(method, data, self._shown, self._headers)
        await self._outbox.put(reply(number, "rpc", {"data": answer}))

    @property
    def _shown(self) -> Token:
        if self._token is None:
            raise Disconnected(BAD_REQUEST)
        return self._token
