"""API keys in real PostgreSQL: how long they are good, and when their use is noted."""

import asyncio
import hashlib
from dataclasses import dataclass, field
from datetime import timedelta
from typing import cast
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text, update

from services.chassis.database import Database
from services.chassis.errors import Unauthenticated
from services.chassis.pagination import PageTokens
from services.identity.backends.builtin_sessions import BuiltinSessions
from services.identity.backends.builtin_tokens import BuiltinTokens
from services.identity.backends.builtin_users import BuiltinUsers
from services.identity.backends.postgres_api_keys import PostgresApiKeys
from services.identity.backends.postgres_audit_log import PostgresAuditLog
from services.identity.backends.postgres_requests import PostgresRequests
from services.identity.backends.postgres_transactions import PostgresTransactions
from services.identity.backends.postgres_work import PostgresWork
from services.identity.backends.tables import API_KEYS, AUDIT_EVENTS, REQUESTS, USERS
from services.identity.errors import EmailNotVerified, InvalidApiKey, RequestInProgress
from services.identity.operations.end_api_keys import EndApiKeys
from services.identity.operations.journal import Journal
from services.identity.operations.keep_api_keys import KeepApiKeys
from services.identity.ports.directory import Directory, OrganizationDirectory
from services.identity.rules.users import User
from tests.acceptance.identity.conftest import PASSWORD, newcomer
from tests.services.identity.fakes import FakeClock, FakeEndedSessions, PlainPasswordHasher

SCOPE = "a.read"


@dataclass
class Keys:
    """The operations on keys, with a clock that moves when told to."""

    database: Database
    clock: FakeClock = field(default_factory=FakeClock)
    ended: FakeEndedSessions = field(default_factory=FakeEndedSessions)

    def __post_init__(self) -> None:
        work = PostgresWork(self.database)
        self.users = BuiltinUsers(PostgresTransactions(work), PlainPasswordHasher(), self.clock)
        tokens = BuiltinTokens(lambda claims: "", "http://edge.test", "parley", timedelta(hours=1), timedelta(days=400))
        self.sessions = BuiltinSessions(PostgresTransactions(work), PlainPasswordHasher(), tokens, self.clock)
        self.ending = EndApiKeys(work, PostgresApiKeys(work), self.ended, self.clock)
        self.work = work
        self.session_id = ""
        self.keys = KeepApiKeys(
            PostgresApiKeys(work),
            PostgresRequests(work),
            Directory(self.users, self.sessions, cast("OrganizationDirectory", None)),
            self.ended,
            Journal(work, PostgresAuditLog(work), self.clock, directory_is_ours=True),
            PageTokens("s" * 32),
            frozenset({SCOPE}),
            self.clock,
        )

    async def made(self, user: User, days: int = 30) -> tuple[UUID, bytes]:
        """Make a key and return its id and its hash."""
        key, secret = await self.keys.create(user.user_id, self.session_id, "ci", [SCOPE], days, None)
        return key.api_key_id, hashlib.sha256(secret.encode()).digest()

    async def writes(self, api_key_id: UUID) -> str:
        """Return what changes whenever the key's row is written."""
        async with self.database.autocommit() as connection:
            found = await connection.scalar(
                text("SELECT xmin::text FROM identity.api_keys WHERE id = :id"), {"id": api_key_id}
            )
        return str(found)


@pytest.fixture
def keys(database: Database) -> Keys:
    """The operations."""
    return Keys(database)


@pytest.fixture
async def ann(keys: Keys) -> User:
    """Somebody who has registered, proven the address and signed in."""
    user = await keys.users.create(newcomer())
    await keys.users.verify_email(user.user_id)
    keys.session_id = (await keys.sessions.sign_in(user.username, PASSWORD)).session_id
    return user


async def test_the_use_of_a_key_is_written_once_a_minute_at_most(keys: Keys, ann: User) -> None:
    api_key_id, key_hash = await keys.made(ann)
    before = await keys.writes(api_key_id)
    await keys.keys.check(key_hash)
    first = await keys.writes(api_key_id)
    assert first != before
    keys.clock.advance(seconds=59)
    for _ in range(3):
        await keys.keys.check(key_hash)
    assert await keys.writes(api_key_id) == first
    keys.clock.advance(seconds=1)
    key, user = await keys.keys.check(key_hash)
    assert await keys.writes(api_key_id) != first
    assert (key.api_key_id, user.user_id) == (api_key_id, ann.user_id)


async def test_a_key_is_good_until_its_last_day(keys: Keys, ann: User) -> None:
    _, key_hash = await keys.made(ann, days=1)
    keys.clock.advance(hours=23, minutes=59)
    await keys.keys.check(key_hash)
    keys.clock.advance(minutes=1)
    with pytest.raises(InvalidApiKey):
        await keys.keys.check(key_hash)
    assert await keys.keys.page(ann.user_id, 10, "") == ([], "")


async def test_after_the_overlap_only_the_successor_is_good(keys: Keys, ann: User) -> None:
    api_key_id, old_hash = await keys.made(ann)
    _, secret = await keys.keys.rotate(ann.user_id, keys.session_id, api_key_id, timedelta(hours=1), None)
    new_hash = hashlib.sha256(secret.encode()).digest()
    for key_hash in (old_hash, new_hash):
        await keys.keys.check(key_hash)
    keys.clock.advance(hours=1)
    await keys.keys.check(new_hash)
    with pytest.raises(InvalidApiKey):
        await keys.keys.check(old_hash)


async def test_a_key_of_a_disabled_user_is_good_for_nothing(keys: Keys, ann: User) -> None:
    api_key_id, key_hash = await keys.made(ann)
    await keys.users.set_active(ann.user_id, is_active=False)
    with pytest.raises(InvalidApiKey):
        await keys.keys.check(key_hash)
    await keys.ending.announce_all(ann.user_id)
    assert keys.ended.announced == [str(api_key_id)]


async def test_the_key_itself_is_stored_nowhere(keys: Keys, ann: User, database: Database) -> None:
    _, secret = await keys.keys.create(ann.user_id, keys.session_id, "ci", [SCOPE], 0, None)
    async with database.autocommit() as connection:
        kept = [
            str(tuple(row))
            for table in (API_KEYS, AUDIT_EVENTS, REQUESTS)
            for row in await connection.execute(table.select())
        ]
    assert kept
    assert not any(secret in row or secret.rpartition("_")[2] in row for row in kept)


async def test_of_the_same_request_at_once_one_makes_a_key(keys: Keys, ann: User) -> None:
    request_id = uuid4()
    making = (keys.keys.create(ann.user_id, keys.session_id, "ci", [SCOPE], 0, request_id) for _ in range(5))
    results = await asyncio.gather(*making, return_exceptions=True)
    assert all(isinstance(one, tuple | RequestInProgress) for one in results), results
    again, secret = await keys.keys.create(ann.user_id, keys.session_id, "ci", [SCOPE], 0, request_id)
    assert secret == ""
    assert await keys.keys.page(ann.user_id, 10, "") == ([again], "")


async def test_who_has_not_proven_the_address_gets_no_key_and_has_none(keys: Keys, ann: User) -> None:
    _, key_hash = await keys.made(ann)
    async with keys.database.transaction() as connection:
        await connection.execute(update(USERS).where(USERS.c.id == ann.user_id).values(email_verified=False))
    with pytest.raises(EmailNotVerified):
        await keys.made(ann)
    with pytest.raises(InvalidApiKey):
        await keys.keys.check(key_hash)
    await keys.users.verify_email(ann.user_id)
    await keys.keys.check(key_hash)


async def test_all_keys_end_and_others_go_on(keys: Keys, ann: User) -> None:
    made = [await keys.made(ann) for _ in range(3)]
    other = await keys.users.create(newcomer())
    await keys.users.verify_email(other.user_id)
    keys.session_id, mine = (await keys.sessions.sign_in(other.username, PASSWORD)).session_id, keys.session_id
    _, others_hash = await keys.made(other)
    keys.session_id = mine
    async with keys.work.together():
        ended = await keys.ending.end_all(ann.user_id)
    assert set(ended) == {api_key_id for api_key_id, _ in made}
    for _, key_hash in made:
        with pytest.raises(InvalidApiKey):
            await keys.keys.check(key_hash)
    await keys.keys.check(others_hash)


async def test_a_key_that_is_made_while_all_end_ends_too_or_is_not_made(keys: Keys, ann: User) -> None:
    """Whoever holds a session that is about to end makes keys as fast as possible."""

    async def end_all() -> None:
        async with keys.work.together():
            await keys.sessions.end_all(ann.user_id)
            await keys.ending.end_all(ann.user_id)

    making = [keys.made(ann) for _ in range(6)]
    results = await asyncio.gather(*making[:3], end_all(), *making[3:], return_exceptions=True)
    assert all(isinstance(one, tuple | Unauthenticated) or one is None for one in results), results
    assert await keys.keys.page(ann.user_id, 10, "") == ([], "")
    with pytest.raises(Unauthenticated):
        await keys.made(ann)
