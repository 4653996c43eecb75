"""Ended sessions, in a real Valkey."""

import pytest
from redis.asyncio import Redis

from services.chassis.errors import SessionCheckUnavailable
from services.chassis.resources import open_valkey
from services.chassis.revocations import RevokedSessions
from tests.support.stores import free_port


async def test_an_ended_session_is_known_everywhere_until_its_tokens_are_dead(valkey: Redis, valkey_url: str) -> None:
    other_process = open_valkey(valkey_url)
    sessions = RevokedSessions(valkey)
    assert not await sessions.contains("ended-1")
    await sessions.add("ended-1", 60)
    assert await RevokedSessions(other_process).contains("ended-1")
    assert not await sessions.contains("ended-2")
    assert 0 < await valkey.ttl("revoked-session:ended-1") <= 60
    await other_process.aclose()


@pytest.mark.parametrize("lifetime", [0, -5])
async def test_a_session_without_live_tokens_can_be_ended(valkey: Redis, lifetime: int) -> None:
    await RevokedSessions(valkey).add("ended-3", lifetime)
    assert await valkey.ttl("revoked-session:ended-3") <= 1


async def test_not_knowing_is_not_no() -> None:
    away = open_valkey(f"redis://127.0.0.1:{free_port()}/0")
    with pytest.raises(SessionCheckUnavailable):
        await RevokedSessions(away).contains("any")
    await away.aclose()
