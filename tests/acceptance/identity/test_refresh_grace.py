"""A spent refresh token gets its answer again for some seconds, from the same client: in both directories."""

import asyncio
from dataclasses import dataclass, replace

import pytest
from redis.asyncio import Redis

from services.chassis.database import Database
from services.chassis.interceptors import client_address
from services.chassis.revocations import RevokedSessions
from services.identity.backends.postgres_audit_log import PostgresAuditLog
from services.identity.backends.postgres_work import PostgresWork
from services.identity.backends.valkey_ended_sessions import ValkeyEndedSessions
from services.identity.backends.valkey_refresh_answers import ValkeyRefreshAnswers
from services.identity.errors import InvalidRefreshToken, RefreshTokenReused
from services.identity.operations.journal import Journal
from services.identity.operations.refresh_session import RefreshSession
from services.identity.ports.directory import Directory
from services.identity.rules.sessions import TokenPair
from tests.acceptance.identity.conftest import PASSWORD, newcomer, now

HOME, ELSEWHERE = "192.0.2.1", "198.51.100.7"
PATTERN = "identity:refreshed:*"


@dataclass(frozen=True)
class Refreshing:
    """The operation on real stores, and who refreshes from where."""

    directory: Directory
    operation: RefreshSession
    valkey: Redis

    async def signed_in(self) -> TokenPair:
        """Return the first pair of somebody new."""
        user = await self.directory.users.create(newcomer())
        return await self.directory.sessions.sign_in(user.username, PASSWORD)

    async def at(self, address: str, pair: TokenPair) -> TokenPair:
        """Refresh from a network address, in a task of its own."""

        async def refresh() -> TokenPair:
            client_address.enter(address)
            return await self.operation.refresh(pair.refresh_token)

        return await asyncio.create_task(refresh())

    async def kept(self) -> list[bytes]:
        """Return what Valkey holds of answers."""
        keys = [key async for key in self.valkey.scan_iter(PATTERN)]
        return [value for key in keys if isinstance(value := await self.valkey.get(key), bytes)]


@pytest.fixture
async def refreshing(directory: Directory, database: Database, valkey: Redis) -> Refreshing:
    """The operation, with half a minute of grace: longer than a test takes."""
    async for key in valkey.scan_iter(PATTERN):
        await valkey.delete(key)
    work = PostgresWork(database)
    journal = Journal(work, PostgresAuditLog(work), now, directory_is_ours=True)
    ended = ValkeyEndedSessions(RevokedSessions(valkey), 60)
    operation = RefreshSession(directory.sessions, ValkeyRefreshAnswers(valkey, 30), ended, journal)
    return Refreshing(directory, operation, valkey)


async def test_the_same_client_gets_the_same_pair_again(refreshing: Refreshing) -> None:
    first = await refreshing.signed_in()
    pairs = await asyncio.gather(*(refreshing.at(HOME, first) for _ in range(5)))
    assert {pair.refresh_token for pair in pairs} == {pairs[0].refresh_token}
    assert await refreshing.at(HOME, first) == pairs[0]
    second = await refreshing.at(HOME, pairs[0])
    assert second.refresh_token not in {first.refresh_token, pairs[0].refresh_token}


async def test_another_client_ends_the_family(refreshing: Refreshing) -> None:
    first = await refreshing.signed_in()
    second = await refreshing.at(HOME, first)
    with pytest.raises(RefreshTokenReused):
        await refreshing.at(ELSEWHERE, first)
    for pair in (first, second):
        with pytest.raises(InvalidRefreshToken):
            await refreshing.at(HOME, pair)


async def test_without_grace_every_reuse_ends_the_family(refreshing: Refreshing) -> None:
    strict = replace(refreshing.operation, answers=ValkeyRefreshAnswers(refreshing.valkey, 0))
    first = await refreshing.signed_in()
    await strict.refresh(first.refresh_token)
    with pytest.raises(RefreshTokenReused):
        await strict.refresh(first.refresh_token)


async def test_after_the_grace_every_reuse_ends_the_family(refreshing: Refreshing) -> None:
    first = await refreshing.signed_in()
    await refreshing.at(HOME, first)
    (key,) = [key async for key in refreshing.valkey.scan_iter(PATTERN)]
    assert 0 < await refreshing.valkey.pttl(key) <= 30_000
    # The end of its time, without waiting for it.
    await refreshing.valkey.pexpire(key, 0)
    with pytest.raises(RefreshTokenReused):
        await refreshing.at(HOME, first)


async def test_only_the_spent_token_opens_the_answer(refreshing: Refreshing) -> None:
    first = await refreshing.signed_in()
    second = await refreshing.at(HOME, first)
    (value,) = await refreshing.kept()
    for secret in (first.refresh_token, second.refresh_token, second.access_token, second.session_id, HOME):
        assert secret.encode() not in value


async def test_a_token_that_is_good_for_nothing_leaves_nothing_behind(refreshing: Refreshing) -> None:
    with pytest.raises(InvalidRefreshToken):
        await refreshing.operation.refresh("nonsense")
    assert await refreshing.kept() == []
