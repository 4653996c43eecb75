"""Audit events: stored with the change they tell of or not at all, and never changed."""

from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from services.chassis import caller as callers
from services.chassis.caller import Caller
from services.chassis.database import Database
from services.chassis.errors import StoreUnavailable
from services.chassis.outbox import Outbox
from services.identity.backends.postgres_audit_log import PostgresAuditLog
from services.identity.backends.postgres_work import PostgresWork
from services.identity.backends.tables import EVENT_OUTBOX
from services.identity.backends.telling_audit_log import TellingAuditLog
from services.identity.errors import InvalidCredentials
from services.identity.operations.journal import Journal
from services.identity.ports.accounts import AuditLog
from services.identity.rules.accounts import AuditEvent, AuditQuery
from tests.acceptance.identity.conftest import now


@pytest.fixture
def work(database: Database) -> PostgresWork:
    """The unit of work that the journal shares with the directory."""
    return PostgresWork(database)


@pytest.fixture
def log(work: PostgresWork) -> PostgresAuditLog:
    """The audit log."""
    return PostgresAuditLog(work)


def change(actor: str) -> AuditEvent:
    """Return something that stands for a change in the same database."""
    return AuditEvent(uuid4(), now(), actor, "change", "", "", "", "OK", {})


async def told(log: AuditLog, actor: str) -> list[AuditEvent]:
    return await log.page(AuditQuery(actor_id=actor), None, 50)


@pytest.fixture
async def actor() -> AsyncIterator[str]:
    """The id of somebody who acts for the length of a test."""
    user_id = str(uuid4())
    callers.enter(Caller(user_id=user_id))
    yield user_id
    callers.enter(callers.ANONYMOUS)


async def test_an_event_says_who_did_what_to_whom(log: PostgresAuditLog, work: PostgresWork, actor: str) -> None:
    callers.enter(Caller(user_id=actor, api_key_id="key-1"))
    journal = Journal(work, log, now, directory_is_ours=True)
    async with journal.recording("role.grant", "whose", role="teacher") as entry:
        entry.details["more"] = "x"
    (event,) = await told(log, actor)
    assert (event.actor_id, event.action, event.subject_id, event.outcome) == (actor, "role.grant", "whose", "OK")
    assert event.details == {"role": "teacher", "more": "x", "api_key_id": "key-1"}


async def test_a_change_and_its_event_are_stored_together_or_not_at_all(
    database: Database, work: PostgresWork, log: PostgresAuditLog, actor: str
) -> None:
    journal = Journal(work, log, now, directory_is_ours=True)

    async def fail() -> None:
        async with journal.recording("made.up"):
            await log.add(change(actor))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()
    assert await told(log, actor) == []
    async with journal.recording("made.up"):
        await log.add(change(actor))
        async with database.autocommit() as other:
            seen = await other.scalar(
                text("SELECT count(*) FROM identity.audit_events WHERE actor_id = :actor"), {"actor": actor}
            )
        assert seen == 0
    assert sorted(event.action for event in await told(log, actor)) == ["change", "made.up"]


async def test_a_refusal_undoes_the_change_and_is_recorded(
    work: PostgresWork, log: PostgresAuditLog, actor: str
) -> None:
    async def refuse() -> None:
        async with Journal(work, log, now, directory_is_ours=True).recording("password.change"):
            await log.add(change(actor))
            raise InvalidCredentials

    with pytest.raises(InvalidCredentials):
        await refuse()
    (event,) = await told(log, actor)
    assert (event.action, event.outcome) == ("password.change", "INVALID_CREDENTIALS")


async def test_what_is_told_commits_with_what_was_written_or_not_at_all(
    database: Database, work: PostgresWork, log: PostgresAuditLog, actor: str
) -> None:
    telling = TellingAuditLog(log, work, Outbox(database, EVENT_OUTBOX))
    journal = Journal(work, telling, now, directory_is_ours=True)

    async def topics() -> list[str]:
        async with database.autocommit() as connection:
            rows = await connection.scalars(
                text("SELECT topic FROM identity.event_outbox WHERE key = :key ORDER BY id"), {"key": actor}
            )
        return list(rows)

    async def change_password(*, failing: Exception | None) -> None:
        async with journal.recording("password.change", actor):
            if failing:
                raise failing

    with pytest.raises(RuntimeError):
        await change_password(failing=RuntimeError())
    assert await topics() == []
    with pytest.raises(InvalidCredentials):
        await change_password(failing=InvalidCredentials())
    assert await topics() == ["log_event"]
    await change_password(failing=None)
    assert await topics() == ["log_event", "log_event", "notify_user"]
    assert [event.outcome for event in await told(telling, actor)] == ["OK", "INVALID_CREDENTIALS"]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE identity.audit_events SET outcome = 'OK'",
        "DELETE FROM identity.audit_events",
        "TRUNCATE identity.audit_events",
    ],
)
async def test_nobody_changes_or_deletes_an_event(
    database: Database, work: PostgresWork, log: PostgresAuditLog, actor: str, statement: str
) -> None:
    async with Journal(work, log, now, directory_is_ours=True).recording("made.up"):
        pass

    async def tamper() -> None:
        async with database.transaction() as connection:
            await connection.execute(text(statement))

    with pytest.raises(DBAPIError, match="never changed or deleted"):
        await tamper()
    assert len(await told(log, actor)) == 1


class Faltering:
    """PostgreSQL, which is away for the first event."""

    def __init__(self, work: PostgresWork) -> None:
        self._log = PostgresAuditLog(work)
        self._is_away = True

    async def add(self, event: AuditEvent) -> None:
        if self._is_away:
            self._is_away = False
            raise StoreUnavailable
        await self._log.add(event)

    async def page(self, query: AuditQuery, before: UUID | None, size: int) -> list[AuditEvent]:
        return await self._log.page(query, before, size)


async def test_what_another_directory_did_is_recorded_later(work: PostgresWork, actor: str) -> None:
    log = Faltering(work)
    journal = Journal(work, log, now, directory_is_ours=False)

    async def disable() -> None:
        async with journal.recording("user.disable", "whose"):
            pass

    with pytest.raises(StoreUnavailable):
        await disable()
    assert await told(log, actor) == []
    await journal.store_late()
    (event,) = await told(log, actor)
    assert (event.action, event.subject_id, event.outcome) == ("user.disable", "whose", "OK")
    await journal.store_late()
    assert len(await told(log, actor)) == 1


async def test_a_unit_of_work_needs_one_connection_and_none_before_its_first_change(
    database: Database, postgres_url: str, actor: str
) -> None:
    narrow = Database(postgres_url, pool_size=1)
    work = PostgresWork(narrow)
    log = PostgresAuditLog(work)
    async with work.together():
        assert await told(log, actor) == []
        # Somebody else gets the only connection while this unit has changed nothing yet.
        async with narrow.autocommit() as other:
            assert await other.scalar(text("SELECT 1")) == 1
        await log.add(change(actor))
        assert len(await told(log, actor)) == 1
    await narrow.close()
