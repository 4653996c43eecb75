"""The events of runs in Valkey: one stream a run, whose entry ids are the events' numbers.

A reader may be on any replica and sees the same numbers. A worker that has lost its lease cannot write: the script
holds its fence against the highest one that has written.
"""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from redis.asyncio import Redis

from services.chassis.heartbeat import LeaseLost
from services.chassis.wake_ups import WakeUps
from services.conversations.ports import CannotStore
from services.conversations.rules import CallState, Message, Metadata, RunEvent, ShownCall, ToolCall

_KEPT_SECONDS = 2 * 60 * 60
_PATIENCE_SECONDS = 1.0
_BATCH = 500
_FENCED = -1
_ENDED = -2
_ENDING_FENCE = 0
_CANCELLATIONS = "run-cancellations"
_FIELDS = [one.name for one in dataclasses.fields(RunEvent)]

# KEYS: state hash, stream. ARGV: fence (0: of the system, always good), number to stay above, 1 when the last event is
# the run's last one, seconds to keep, channel, then the payloads. Returns the last event's number, or -1 when fenced
# off, or -2 when the run has its last event; then the number of the run's last event, 0 while there is none.
_APPEND = """
local fence = tonumber(ARGV[1])
local state = redis.call('HMGET', KEYS[1], 'fence', 'ended', 'last')
local seen = tonumber(state[1] or '0')
local ended = tonumber(state[2] or '0')
if ended > 0 then return {-2, ended} end
if fence > 0 and fence < seen then return {-1, 0} end
local number = math.max(tonumber(state[3] or '0'), tonumber(ARGV[2]))
for index = 6, #ARGV do
    number = number + 1
    redis.call('XADD', KEYS[2], number .. '-0', 'event', ARGV[index])
end
redis.call('HSET', KEYS[1], 'last', number, 'fence', math.max(fence, seen))
if ARGV[3] == '1' then redis.call('HSET', KEYS[1], 'ended', number) end
redis.call('EXPIRE', KEYS[1], ARGV[4])
redis.call('EXPIRE', KEYS[2], ARGV[4])
redis.call('PUBLISH', ARGV[5], '')
return {number, 0}
"""


class ValkeyRunEvents:
    """Implements the port RunEvents."""

    def __init__(self, valkey: Redis, wake_ups: WakeUps) -> None:
        self._valkey = valkey
        self._wake_ups = wake_ups
        self._append = valkey.register_script(_APPEND)

    async def append(self, run_id: UUID, fence: int, events: Sequence[RunEvent], after: int) -> int:
        """See the port."""
        number, _ = await self._run_script(run_id, fence, after, events)
        if number in (_FENCED, _ENDED):
            raise LeaseLost
        return number

    async def end(self, run_id: UUID, event: RunEvent, after: int = 0) -> int:
        """See the port."""
        number, last = await self._run_script(run_id, _ENDING_FENCE, after, [event])
        return last if number == _ENDED else number

    async def follow(self, run_id: UUID, after: int) -> AsyncIterator[RunEvent | None]:
        """See the port."""
        stream = _stream(run_id)
        async with self._wake_ups.subscribed(_channel(run_id)) as woken:
            while True:
                woken.clear()
                entries: Any = await self._valkey.xrange(stream, f"{after + 1}-0", "+", count=_BATCH)
                for entry_id, fields in entries:
                    after = int(entry_id.split(b"-")[0])
                    event = _decode(fields[b"event"], after)
                    yield event
                    if event.is_last:
                        return
                if entries:
                    continue
                try:
                    async with asyncio.timeout(_PATIENCE_SECONDS):
                        await woken.wait()
                except TimeoutError:
                    yield None

    async def request_cancel(self, run_id: UUID) -> None:
        """See the port."""
        async with self._valkey.pipeline(transaction=True) as pipeline:
            pipeline.hset(_state(run_id), "cancel", "1")
            pipeline.expire(_state(run_id), _KEPT_SECONDS)
            pipeline.publish(_CANCELLATIONS, str(run_id))
            await pipeline.execute()

    async def wait_for_cancel(self, run_id: UUID) -> None:
        """See the port."""
        async with self._wake_ups.subscribed(_CANCELLATIONS, str(run_id)) as woken:
            while True:
                # Most runs end before anybody wishes to cancel them: look only when woken, or after a while.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_PATIENCE_SECONDS):
                        await woken.wait()
                woken.clear()
                if await self._valkey.hget(_state(run_id), "cancel") is not None:
                    return

    async def _run_script(self, run_id: UUID, fence: int, after: int, events: Sequence[RunEvent]) -> tuple[int, int]:
        ends = int(events[-1].is_last)
        number, other = await self._append(
            keys=[_state(run_id), _stream(run_id)],
            args=[fence, after, ends, _KEPT_SECONDS, _channel(run_id), *map(_encode, events)],
        )
        return int(number), int(other)


# The braces keep both keys of a run in one slot of a cluster.
def _stream(run_id: UUID) -> str:
    return f"run:{{{run_id}}}:events"


def _state(run_id: UUID) -> str:
    return f"run:{{{run_id}}}:state"


def _channel(run_id: UUID) -> str:
    return f"run:{run_id}"


def _encode(event: RunEvent) -> bytes:
    # orjson writes what is within by itself; asdict would copy all of it first.
    said: dict[str, object] = {name: value for name in _FIELDS if (value := getattr(event, name))}
    if event.call is not None:
        # Who follows a run is told where the call stands; what it is about is read with the answer.
        said["call"] = {"call_id": event.call.call_id, "name": event.call.name, "state": event.call.state}
    # str: asyncpg has a UUID of its own.
    try:
        return orjson.dumps(said, default=str)
    except orjson.JSONEncodeError as error:
        raise CannotStore from error


def _decode(payload: bytes, number: int) -> RunEvent:
    fields: dict[str, Any] = orjson.loads(payload)
    if message := fields.pop("message", None):
        fields["message"] = Message(
            message_id=UUID(message["message_id"]),
            conversation_id=UUID(message["conversation_id"]),
            sequence=message["sequence"],
            role=message["role"],
            text=message["text"],
            run_id=UUID(message["run_id"]),
            metadata=Metadata(**message["metadata"]) if message["metadata"] else None,
            created_at=datetime.fromisoformat(message["created_at"]),
            parent_id=UUID(parent) if (parent := message.get("parent_id")) else None,
            tool_calls=tuple(map(_shown_call, message.get("tool_calls", ()))),
        )
    if call := fields.pop("call", None):
        fields["call"] = ToolCall(UUID(call["call_id"]), "", call["name"], "", None, CallState(call["state"]))
    return RunEvent(**{**fields, "sequence": number})


def _shown_call(stored: dict[str, Any]) -> ShownCall:
    return ShownCall(
        **{
            **stored,
            "call_id": UUID(stored["call_id"]),
            "state": CallState(stored["state"]),
            "asked_at": datetime.fromisoformat(stored["asked_at"]),
        }
    )
