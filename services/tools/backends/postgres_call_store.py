"""Calls in PostgreSQL, with the leases of the workers that do them."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, and_, delete, func, or_, select, union_all, update
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.chassis.outbox import Outbox
from services.tools.backends.tables import CALL, ENDED_RUN, TOOL, call_of, stored_call, tool_of
from services.tools.ports import CallFilter, Claim, Sight
from services.tools.rules import Call, CallState, Outcome, after_its_run, lease_seconds

TOPIC = "function_call"
_GONE_LEASE_SECONDS = 30.0
_NUDGE_AGAIN = timedelta(seconds=10)
_LONGEST_PAUSE = timedelta(minutes=10)
_MOST_DOUBLINGS = 6

Which = tuple[ColumnElement[bool], ...]


@dataclass(frozen=True, slots=True)
class PostgresCallStore:
    """Implements the port CallStore on one connection."""

    connection: AsyncConnection
    outbox: Outbox

    async def add(self, call: Call, owner: str) -> bool:
        """See the port."""
        waits = call.state is CallState.REQUESTED
        statement = (
            postgres_insert(CALL)
            .values(**stored_call(call), owner=owner, nudged_at=func.now() if waits else None)
            .on_conflict_do_nothing(index_elements=["id"])
        )
        stored = (await self.connection.execute(statement)).rowcount == 1
        if stored and waits:
            await self._nudge(call.call_id)
        return stored

    async def get(self, call_id: UUID, sights: Sequence[Sight], *, lock: bool = False) -> Call | None:
        """See the port."""
        statement = select(CALL).where(CALL.c.id == call_id, or_(*[and_(*_in(sight)) for sight in sights]))
        row = (await self.connection.execute(statement.with_for_update() if lock else statement)).one_or_none()
        return None if row is None else call_of(row)

    async def several(self, call_ids: Sequence[UUID]) -> list[Call]:
        """See the port."""
        rows = await self.connection.execute(select(CALL).where(CALL.c.id.in_(call_ids)))
        found = {row.id: call_of(row) for row in rows}
        return [found[call_id] for call_id in call_ids if call_id in found]

    async def page(self, sights: Sequence[Sight], wanted: CallFilter, before: UUID | None, size: int) -> list[Call]:
        """See the port."""
        chosen = _chosen(wanted)
        if before is not None:
            last = select(CALL.c.position).where(CALL.c.id == before).scalar_subquery()
            chosen = *chosen, CALL.c.position < last
        # Each part reads an index in its order and stops: one condition for all of them would read every call.
        parts = [
            select(CALL).where(*_in(sight), *chosen).order_by(CALL.c.position.desc()).limit(size) for sight in sights
        ]
        together = union_all(*[part.subquery().select() for part in parts]).subquery()
        rows = await self.connection.execute(together.select().order_by(together.c.position.desc()).limit(size))
        return [call_of(row) for row in rows]

    async def approve(self, call: Call, by: str) -> Call:
        """See the port."""
        values = {"state": CallState.REQUESTED.value, "decided_by": by, "nudged_at": func.now()}
        statement = update(CALL).where(CALL.c.id == call.call_id).values(**values).returning(CALL)
        row = (await self.connection.execute(statement)).one()
        await self._nudge(call.call_id)
        return call_of(row)

    async def end(self, call_id: UUID, outcome: Outcome, by: str = "") -> Call:
        """See the port."""
        statement = update(CALL).where(CALL.c.id == call_id).values(**_ended(outcome), decided_by=by).returning(CALL)
        return call_of((await self.connection.execute(statement)).one())

    async def claim(self, call_id: UUID) -> Claim | None:
        """See the port."""
        requested = CALL.c.id == call_id, CALL.c.state == CallState.REQUESTED.value
        row = (await self.connection.execute(select(CALL).where(*requested).with_for_update())).one_or_none()
        if row is None:
            return None
        if row.run_id is not None and await self._has_ended(row.run_id):
            # It was being done when its run ended, and was given back since.
            await self.end(call_id, after_its_run(row.attempt), row.decided_by)
            return None
        claim = await self._claim(row)
        seconds = _GONE_LEASE_SECONDS if claim.tool is None else lease_seconds(claim.tool)
        statement = (
            update(CALL)
            .where(CALL.c.id == call_id)
            .values(
                state=CallState.RUNNING.value,
                attempt=CALL.c.attempt + 1,
                fence=claim.fence,
                started_at=func.coalesce(CALL.c.started_at, func.now()),
                lease_until=func.now() + timedelta(seconds=seconds),
            )
            .returning(CALL)
        )
        started = (await self.connection.execute(statement)).one()
        return Claim(call_of(started), claim.tool, claim.owner, claim.fence)

    async def finish(self, claim: Claim, outcome: Outcome | None) -> Call | None:
        """See the port."""
        values: dict[str, Any] = {"lease_until": None}
        values |= {"state": CallState.REQUESTED.value, "nudged_at": func.now()} if outcome is None else _ended(outcome)
        statement = (
            update(CALL)
            .where(
                CALL.c.id == claim.call.call_id,
                CALL.c.fence == claim.fence,
                CALL.c.state == CallState.RUNNING.value,
            )
            .values(**values)
            .returning(CALL)
        )
        row = (await self.connection.execute(statement)).one_or_none()
        if row is None:
            return None
        if outcome is None:
            await self._nudge(claim.call.call_id)
        return call_of(row)

    async def run_has_ended(self, run_id: UUID) -> bool:
        """See the port."""
        await self.connection.execute(select(func.pg_advisory_xact_lock_shared(_lock_of(run_id))))
        return await self._has_ended(run_id)

    async def end_run(self, run_id: UUID) -> list[Call]:
        """See the port."""
        # Whoever stores calls of the run holds the lock shared: they are seen here, or see that it has ended.
        await self.connection.execute(select(func.pg_advisory_xact_lock(_lock_of(run_id))))
        await self.connection.execute(postgres_insert(ENDED_RUN).values(id=run_id).on_conflict_do_nothing())
        idle = CALL.c.run_id == run_id, CALL.c.ended_at.is_(None), CALL.c.state != CallState.RUNNING.value
        rows = await self.connection.execute(select(CALL).where(*idle).order_by(CALL.c.id).with_for_update())
        return [call_of(row) for row in rows]

    async def withdrawn(self, run_id: UUID) -> list[Call]:
        """See the port."""
        states = CallState.WITHDRAWN.value, CallState.UNKNOWN.value
        rows = await self.connection.execute(select(CALL).where(CALL.c.run_id == run_id, CALL.c.state.in_(states)))
        return [call_of(row) for row in rows]

    async def lost(self, after: UUID | None, limit: int) -> list[UUID]:
        """See the port."""
        return await self._ids(_lost(), after, limit)

    async def take_over(self, call_id: UUID) -> Claim | None:
        """See the port."""
        row = await self._locked(call_id, _lost())
        if row is None:
            return None
        claim = await self._claim(row)
        # The next fence: whatever the worker still does, if it only slept, leaves no trace.
        await self.connection.execute(update(CALL).where(CALL.c.id == call_id).values(fence=claim.fence))
        return claim

    async def overdue(self, at: datetime, after: UUID | None, limit: int) -> list[UUID]:
        """See the port."""
        return await self._ids(_overdue(at), after, limit)

    async def lock_overdue(self, call_id: UUID, at: datetime) -> bool:
        """See the port."""
        return await self._locked(call_id, _overdue(at)) is not None

    async def stranded(self, after: UUID | None, limit: int) -> list[UUID]:
        """See the port."""
        return await self._ids(_stranded(), after, limit)

    async def nudge_again(self, call_id: UUID) -> bool:
        """See the port."""
        if await self._locked(call_id, _stranded()) is None:
            return False
        nudged = {"nudged_at": func.now(), "nudges": func.least(CALL.c.nudges + 1, _MOST_DOUBLINGS)}
        await self.connection.execute(update(CALL).where(CALL.c.id == call_id).values(**nudged))
        await self._nudge(call_id)
        return True

    async def forget(self, before: datetime, limit: int) -> int:
        """See the port."""
        other = CALL.alias()
        awaited = select(other.c.id).where(other.c.run_id == CALL.c.run_id, other.c.ended_at.is_(None)).exists()
        old = select(CALL.c.id).where(CALL.c.ended_at < before, ~awaited).limit(limit).with_for_update(skip_locked=True)
        return (await self.connection.execute(delete(CALL).where(CALL.c.id.in_(old)))).rowcount

    async def forget_runs(self, before: datetime) -> None:
        """See the port."""
        await self.connection.execute(delete(ENDED_RUN).where(ENDED_RUN.c.ended_at < before))

    async def _has_ended(self, run_id: UUID) -> bool:
        found = await self.connection.execute(select(ENDED_RUN.c.id).where(ENDED_RUN.c.id == run_id))
        return found.one_or_none() is not None

    async def _ids(self, which: Which, after: UUID | None, limit: int) -> list[UUID]:
        statement = select(CALL.c.id).where(*which).order_by(CALL.c.id).limit(limit)
        if after is not None:
            statement = statement.where(CALL.c.id > after)
        return list(await self.connection.scalars(statement))

    async def _locked(self, call_id: UUID, which: Which) -> Row[Any] | None:
        """Lock and return a call if it is still one of those, and no other process looks after it."""
        statement = select(CALL).where(CALL.c.id == call_id, *which).with_for_update(skip_locked=True)
        return (await self.connection.execute(statement)).one_or_none()

    async def _claim(self, row: Row[Any]) -> Claim:
        statement = select(TOOL).where(TOOL.c.id == row.tool_id, TOOL.c.owner == row.owner)
        found = (await self.connection.execute(statement)).one_or_none()
        return Claim(call_of(row), None if found is None else tool_of(found), row.owner, row.fence + 1)

    async def _nudge(self, call_id: UUID) -> None:
        await self.outbox.add(self.connection, TOPIC, str(call_id), {"call_id": str(call_id)})


def _in(sight: Sight) -> Which:
    owned = (CALL.c.owner == sight.owner,)
    return (*owned, CALL.c.user_id == sight.asked_by) if sight.asked_by else owned


def _chosen(wanted: CallFilter) -> Which:
    chosen: Which = ()
    if wanted.tool_id is not None:
        chosen += (CALL.c.tool_id == wanted.tool_id,)
    if wanted.conversation_id is not None:
        chosen += (CALL.c.conversation_id == wanted.conversation_id,)
    if wanted.waiting_only:
        chosen += (CALL.c.state == CallState.WAITING_FOR_APPROVAL.value,)
    return chosen


def _ended(outcome: Outcome) -> dict[str, Any]:
    # PostgreSQL stores no NUL in a text, and a tool may answer anything.
    return {
        "state": outcome.state.value,
        "result": outcome.result.replace("\x00", "\ufffd"),
        "error_reason": outcome.error_reason,
        "error_message": outcome.error_message.replace("\x00", "\ufffd")[:2000],
        "content": [asdict(one) for one in outcome.content],
        "ended_at": func.now(),
    }


def _lost() -> Which:
    return CALL.c.state == CallState.RUNNING.value, CALL.c.lease_until < func.now()


def _overdue(at: datetime) -> Which:
    return CALL.c.state == CallState.WAITING_FOR_APPROVAL.value, CALL.c.approval_until <= at


def _stranded() -> Which:
    # A call that no worker can take up fails each nudge for good: its dead letters must not come every ten seconds.
    pause = func.least(_NUDGE_AGAIN * func.power(2, CALL.c.nudges), _LONGEST_PAUSE)
    return CALL.c.state == CallState.REQUESTED.value, CALL.c.nudged_at < func.now() - pause


def _lock_of(run_id: UUID) -> int:
    # As much of the id as a lock takes; two runs of the same number wait for each other, that is all.
    return int.from_bytes(run_id.bytes[8:], signed=True)
