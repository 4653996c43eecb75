"""What every SessionStore does."""

import asyncio
import secrets
from dataclasses import replace
from datetime import datetime, timedelta

from services.chassis.identifiers import new_id
from services.identity.ports.stores import Transactions
from services.identity.rules.sessions import RefreshToken, Session, ShownToken
from services.identity.rules.users import User
from tests.acceptance.identity.conftest import fresh_user
from tests.services.identity.fakes import START

WEEK = timedelta(days=7)


def token_of(session: Session, expires_at: datetime = START + WEEK) -> RefreshToken:
    return RefreshToken(secrets.token_bytes(32), session.session_id, expires_at)


async def opened(
    transactions: Transactions, user: User, expires_at: datetime = START + WEEK
) -> tuple[Session, RefreshToken]:
    session = Session(new_id(), user.user_id, START, expires_at)
    token = token_of(session, expires_at)
    async with transactions.begin() as transaction:
        if await transaction.users.get(user.user_id) is None:
            await transaction.users.add(user, "hash")
        await transaction.sessions.open(session, token)
    return session, token


async def shown(transactions: Transactions, token: RefreshToken) -> ShownToken | None:
    async with transactions.begin() as transaction:
        return await transaction.sessions.lock_shown(token.token_hash)


async def test_a_token_is_shown_with_its_session_and_user(transactions: Transactions, user: User) -> None:
    session, token = await opened(transactions, user)
    assert await shown(transactions, token) == ShownToken(token, session, user)
    assert await shown(transactions, token_of(session)) is None


async def test_rotation_spends_one_token_and_stores_the_next(transactions: Transactions, user: User) -> None:
    session, token = await opened(transactions, user)
    at = START + timedelta(days=1)
    successor = token_of(session, at + WEEK)
    async with transactions.begin() as transaction:
        await transaction.sessions.rotate(token, at, successor)
    longer = replace(session, expires_at=at + WEEK, used_at=at)
    assert await shown(transactions, token) == ShownToken(replace(token, spent_at=at), longer, user)
    assert await shown(transactions, successor) == ShownToken(successor, longer, user)


async def test_a_session_keeps_the_time_of_its_first_end(transactions: Transactions, user: User) -> None:
    session, token = await opened(transactions, user)
    other, other_token = await opened(transactions, user)
    for day in (1, 2):
        async with transactions.begin() as transaction:
            await transaction.sessions.end(session.session_id, START + timedelta(days=day))
    found = await shown(transactions, token)
    assert found is not None
    assert found.session.ended_at == START + timedelta(days=1)
    async with transactions.begin() as transaction:
        assert session.session_id in await transaction.sessions.ended_since(START + timedelta(days=1))
        assert session.session_id not in await transaction.sessions.ended_since(START + timedelta(days=1, seconds=1))
        assert other.session_id not in await transaction.sessions.ended_since(START)
        await transaction.sessions.end(new_id(), START)
    assert await shown(transactions, other_token) == ShownToken(other_token, other, user)


async def test_a_shown_session_is_seen_by_one_at_a_time(transactions: Transactions, user: User) -> None:
    session, token = await opened(transactions, user)

    async def spend() -> bool:
        async with transactions.begin() as transaction:
            found = await transaction.sessions.lock_shown(token.token_hash)
            assert found is not None
            if found.token.spent_at is not None:
                return False
            await transaction.sessions.rotate(token, START, token_of(session))
            return True

    assert sum(await asyncio.gather(*(spend() for _ in range(8)))) == 1


async def test_what_expired_long_ago_is_forgotten(transactions: Transactions) -> None:
    # Long before all other tests: stores are shared.
    long_ago = START - timedelta(days=9000)
    user = fresh_user()
    old, old_token = await opened(transactions, user, long_ago - timedelta(seconds=1))
    session, token = await opened(transactions, user, long_ago - timedelta(seconds=1))
    successor = token_of(session, long_ago)
    async with transactions.begin() as transaction:
        await transaction.sessions.rotate(token, START, successor)
        await transaction.sessions.end(old.session_id, START - timedelta(days=8000))
        await transaction.sessions.forget_expired(long_ago)
    assert await shown(transactions, old_token) is None
    assert await shown(transactions, token) is None
    found = await shown(transactions, successor)
    assert found == ShownToken(successor, replace(session, expires_at=long_ago, used_at=START), user)
    async with transactions.begin() as transaction:
        assert old.session_id not in await transaction.sessions.ended_since(START - timedelta(days=8000))
