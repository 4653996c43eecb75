"""Codes and counters in Valkey."""

import asyncio
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from services.identity.backends.valkey_attempts import ValkeyAttempts
from services.identity.backends.valkey_codes import ValkeyCodes
from services.identity.errors import AttemptsNotCounted
from services.identity.ports.accounts import Limit
from services.identity.rules.accounts import CODE_TRIES, Purpose
from tests.support.stores import free_port

VERIFY, RESET = Purpose.VERIFY_EMAIL, Purpose.RESET_PASSWORD


@pytest.fixture
def codes(valkey: Redis) -> ValkeyCodes:
    """The codes."""
    return ValkeyCodes(valkey, "s" * 32)


@pytest.fixture
def account() -> str:
    """The id of a user."""
    return str(uuid4())


def wrong(code: str) -> str:
    return f"{(int(code) + 1) % 10**8:08}"


async def test_a_code_is_good_once_for_one_account(codes: ValkeyCodes, account: str) -> None:
    code = await codes.make(VERIFY, account)
    assert (len(code), code.isdigit()) == (8, True)
    assert not await codes.take(RESET, account, code)
    assert not await codes.take(VERIFY, f"x{account}", code)
    assert await codes.take(VERIFY, account, f" {code} ")
    assert not await codes.take(VERIFY, account, code)


async def test_of_many_who_show_a_code_at_once_one_gets_in(codes: ValkeyCodes, account: str) -> None:
    code = await codes.make(VERIFY, account)
    assert sum(await asyncio.gather(*(codes.take(VERIFY, account, code) for _ in range(20)))) == 1


async def test_a_new_code_replaces_the_old_one_and_its_tries(codes: ValkeyCodes, account: str) -> None:
    old = await codes.make(VERIFY, account)
    for _ in range(CODE_TRIES - 1):
        assert not await codes.take(VERIFY, account, wrong(old))
    new = await codes.make(VERIFY, account)
    if old != new:
        assert not await codes.take(VERIFY, account, old)
    assert await codes.take(VERIFY, account, new)


async def test_too_many_tries_end_a_code(codes: ValkeyCodes, account: str) -> None:
    code = await codes.make(VERIFY, account)
    await asyncio.gather(*(codes.take(VERIFY, account, wrong(code)) for _ in range(CODE_TRIES)))
    assert not await codes.take(VERIFY, account, code)


async def test_a_code_lasts_ten_minutes_and_stands_nowhere(codes: ValkeyCodes, valkey: Redis, account: str) -> None:
    before = set(await valkey.keys("identity:code:*"))
    code = await codes.make(VERIFY, account)
    (key,) = set(await valkey.keys("identity:code:*")) - before
    assert 590 < await valkey.ttl(key) <= 600
    kept = str(key) + str(await valkey.hgetall(key))
    assert code not in kept
    assert account not in kept


async def test_tries_beyond_the_limit_are_told_when_to_come_back(valkey: Redis) -> None:
    attempts, bucket, limit = ValkeyAttempts(valkey), uuid4().hex, Limit(3, 60)
    waits = await asyncio.gather(*(attempts.add(bucket, limit) for _ in range(10)))
    assert sorted(waits)[:3] == [0, 0, 0]
    assert all(0 < wait <= 60 for wait in sorted(waits)[3:])
    assert await attempts.add(f"other {bucket}", limit) == 0
    await attempts.forget(bucket)
    assert await attempts.add(bucket, limit) == 0


async def test_without_valkey_nobody_is_let_in(account: str) -> None:
    async with Redis(port=free_port()) as nobody:
        with pytest.raises(AttemptsNotCounted):
            await ValkeyAttempts(nobody).add("x", Limit(1, 1))
        with pytest.raises(AttemptsNotCounted):
            await ValkeyAttempts(nobody).forget("x")
        with pytest.raises(AttemptsNotCounted):
            await ValkeyCodes(nobody, "s" * 32).take(VERIFY, account, "12345678")
