"""What every UserStore does."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from services.chassis.identifiers import new_id
from services.identity.errors import EmailTaken, UsernameTaken
from services.identity.ports.stores import Transactions
from services.identity.rules.users import User
from tests.acceptance.identity.conftest import fresh_user
from tests.services.identity.fakes import START

HASH = "hash"
LATER = START + timedelta(hours=1)


async def add(transactions: Transactions, user: User, password_hash: str) -> None:
    async with transactions.begin() as transaction:
        await transaction.users.add(user, password_hash)


async def test_a_user_comes_back_as_stored(transactions: Transactions, user: User) -> None:
    stored = replace(user, roles=frozenset({"user", "admin"}), is_active=False, email_verified=True)
    await add(transactions, stored, HASH)
    async with transactions.begin() as transaction:
        assert await transaction.users.get(user.user_id) == stored
        assert await transaction.users.get(new_id()) is None


async def test_users_are_found_without_regard_to_case(transactions: Transactions, user: User) -> None:
    await add(transactions, user, "the hash")
    async with transactions.begin() as transaction:
        for found in (
            await transaction.users.by_email(user.email.upper()),
            await transaction.users.by_username(user.username.lower()),
        ):
            assert found is not None
            assert (found.user, found.password_hash) == (user, "the hash")
        assert await transaction.users.by_email(user.username) is None
        assert await transaction.users.by_username(user.email) is None


async def test_taken_names_are_refused_without_regard_to_case(transactions: Transactions, user: User) -> None:
    await add(transactions, user, HASH)
    with pytest.raises(EmailTaken):
        await add(transactions, replace(fresh_user(), email=user.email.lower()), HASH)
    with pytest.raises(UsernameTaken):
        await add(transactions, replace(fresh_user(), username=user.username.upper()), HASH)


async def test_of_many_who_register_the_same_name_at_once_one_wins(transactions: Transactions, user: User) -> None:
    rivals = [replace(fresh_user(), email=user.email) for _ in range(8)]
    results = await asyncio.gather(*(add(transactions, one, HASH) for one in rivals), return_exceptions=True)
    assert results.count(None) == 1
    assert sum(isinstance(one, EmailTaken) for one in results) == 7


async def test_only_the_given_fields_of_a_profile_change(transactions: Transactions, user: User) -> None:
    await add(transactions, user, HASH)
    expected = replace(user, level="advanced", display_name="Ann ✨", updated_at=LATER)
    async with transactions.begin() as transaction:
        changes = {"level": "advanced", "display_name": "Ann ✨"}
        assert await transaction.users.change(user.user_id, changes, LATER) == expected
        assert await transaction.users.change(new_id(), changes, LATER) is None
    async with transactions.begin() as transaction:
        assert await transaction.users.get(user.user_id) == expected


async def test_a_role_is_granted_once(transactions: Transactions, user: User) -> None:
    await add(transactions, user, HASH)
    for at in (LATER, LATER + timedelta(hours=1)):
        async with transactions.begin() as transaction:
            await transaction.users.grant_role(user.user_id, "admin", at)
    async with transactions.begin() as transaction:
        found = await transaction.users.get(user.user_id)
    assert found == replace(user, roles=frozenset({"user", "admin"}), updated_at=LATER)


async def test_a_hash_is_replaced_unless_it_has_changed(transactions: Transactions, user: User) -> None:
    await add(transactions, user, "old")
    async with transactions.begin() as transaction:
        assert await transaction.users.replace_password_hash(user.user_id, "old", "new")
        assert not await transaction.users.replace_password_hash(user.user_id, "old", "late")
        found = await transaction.users.by_email(user.email)
    assert found is not None
    assert found.password_hash == "new"


async def test_a_transaction_that_fails_leaves_no_trace(transactions: Transactions, user: User) -> None:
    async def add_and_fail() -> None:
        async with transactions.begin() as transaction:
            await transaction.users.add(user, "hash")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await add_and_fail()
    async with transactions.begin() as transaction:
        assert await transaction.users.get(user.user_id) is None


async def test_a_name_that_looks_like_another_is_taken(transactions: Transactions, user: User) -> None:
    await add(transactions, replace(user, username=f"{user.username}-all"), HASH)
    with pytest.raises(UsernameTaken):
        await add(transactions, replace(fresh_user(), username=f"{user.username}-a1I"), HASH)


async def test_a_hash_is_held_only_while_it_is_the_users(transactions: Transactions, user: User) -> None:
    await add(transactions, user, "old")
    async with transactions.begin() as transaction:
        assert await transaction.users.hold_password_hash(user.user_id, "old")
        assert not await transaction.users.hold_password_hash(user.user_id, "new")
        assert not await transaction.users.hold_password_hash(new_id(), "old")
        await transaction.users.change(user.user_id, {"is_active": False}, START)
        assert not await transaction.users.hold_password_hash(user.user_id, "old")
