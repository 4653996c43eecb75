"""Ended sessions in Valkey."""

import pytest
from redis.asyncio import Redis

from services.chassis.errors import SessionCheckUnavailable
from services.chassis.identifiers import new_id
from services.chassis.revocations import RevokedSessions
from services.identity.backends.valkey_ended_sessions import ValkeyEndedSessions
from tests.support.stores import free_port


async def test_an_announced_session_is_refused_by_every_service(valkey: Redis) -> None:
    session_id, revoked = str(new_id()), RevokedSessions(valkey)
    ended = ValkeyEndedSessions(revoked, 1800)
    assert not await revoked.contains(session_id)
    for _ in range(2):
        await ended.announce(session_id)
    assert await revoked.contains(session_id)
    assert 1800 < await valkey.ttl(f"revoked-session:{session_id}") <= 1860


async def test_without_valkey_nothing_is_pretended() -> None:
    async with Redis(port=free_port()) as nobody:
        with pytest.raises(SessionCheckUnavailable):
            await ValkeyEndedSessions(RevokedSessions(nobody), 1800).announce(str(new_id()))
