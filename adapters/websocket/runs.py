"""The channel `run:<conversation_id>/<run_id>`: the events of one run, each with its number as the offset."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import grpc

from adapters.websocket.codes import (
    BROKEN_OFF,
    NO_LONGER_PERMITTED,
    RUN_ENDED,
    internal,
    permission_denied,
    unknown_channel,
)
from adapters.websocket.commands import Command
from adapters.websocket.replies import publication, reply, unsubscribed
from adapters.websocket.tokens import Token
from adapters.websocket.upstream import Upstream, refused

_UUID = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_CHANNEL = re.compile(rf"run:({_UUID})/({_UUID})")
_MAX_SEQUENCE = 2**32 - 1
# An upstream that refuses does so at once; a run that waits for a worker says nothing for longer.
_FIRST_EVENT_SECONDS = 1.0
_REFUSALS = (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.INVALID_ARGUMENT)

Put = Callable[[bytes], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class RunChannel:
    """What a subscribe command asks for."""

    name: str
    conversation_id: str
    run_id: str
    number: int
    """The id of the command."""
    recovers: bool
    """Whether the client has a position."""
    is_known: bool
    """Whether the position is one of this run."""
    after: int
    """The offset of the last event that the client has."""


def read_channel(command: Command) -> RunChannel:
    """Return what a subscribe command asks for.

    Raises:
        Refusal: the name is no channel.
        FrameInvalid: a parameter has a wrong type.
    """
    name = command.text("channel")
    match = _CHANNEL.fullmatch(name)
    if match is None:
        raise unknown_channel()
    conversation_id, run_id = (part.lower() for part in match.groups())
    recovers, epoch, offset = command.flag("recover"), command.text("epoch"), command.number("offset")
    # A position in another history counts for nothing: such a client gets all of this one.
    is_known = recovers and epoch == run_id and offset <= _MAX_SEQUENCE
    return RunChannel(name, conversation_id, run_id, command.id, recovers, is_known, offset if is_known else 0)


class RunSubscription:
    """One client's subscription to one run."""

    def __init__(self, channel: RunChannel, put: Put) -> None:
        """Take what was asked for, and where messages to the client go."""
        self.channel = channel
        self.is_answered = False
        self._put = put

    async def follow(self, upstream: Upstream, token: Token, headers: Mapping[str, str]) -> None:
        """Answer the command, publish the events as they come, and end the subscription with the run.

        Raises:
            Refusal: the caller has no such run, or it cannot be read now; the command was not answered.
            Disconnected: the token counts no more, or the client is too slow.
        """
        channel = self.channel
        call = upstream.stream_run(channel.conversation_id, channel.run_id, channel.after, token, headers)
        reading = asyncio.ensure_future(call.read())
        try:
            await asyncio.wait({reading}, timeout=_FIRST_EVENT_SECONDS)
            # Raises when the upstream has refused.
            await self._answer(reading.result() if reading.done() else None)
            event = await reading
            while event is not grpc.aio.EOF:
                await self._put(publication(channel.name, upstream.event_to_json(event), event.sequence))
                event = await call.read()
            await self._put(unsubscribed(channel.name, RUN_ENDED))
        except grpc.aio.AioRpcError as error:
            await self._fail(error.code(), token)
        finally:
            reading.cancel()
            call.cancel()

    async def _answer(self, first: Any) -> None:
        channel = self.channel
        result = {"recoverable": True, "positioned": True, "epoch": channel.run_id, "offset": channel.after}
        if channel.recovers:
            is_gapless = first is None or first is grpc.aio.EOF or first.sequence == channel.after + 1
            result |= {"was_recovering": True, "recovered": channel.is_known and is_gapless}
        await self._put(reply(channel.number, "subscribe", result))
        self.is_answered = True

    async def _fail(self, code: grpc.StatusCode, token: Token) -> None:
        if code is grpc.StatusCode.UNAUTHENTICATED:
            raise refused(token)
        if not self.is_answered:
            raise permission_denied() if code in _REFUSALS else internal()
        await self._put(unsubscribed(self.channel.name, NO_LONGER_PERMITTED if code in _REFUSALS else BROKEN_OFF))
