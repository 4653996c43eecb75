"""Users of before get their canonical forms; of two with the same one the first to have proven it keeps it."""

from datetime import timedelta

import pytest
from sqlalchemy import Connection, text

from services.chassis import migrations
from services.chassis.database import Database
from services.chassis.identifiers import new_id
from services.identity.backends.postgres_transactions import PostgresTransactions
from services.identity.backends.postgres_work import PostgresWork
from tests.services.identity.fakes import START

_ADD = text(
    "INSERT INTO identity.users (id, email, username, password_hash, display_name, created_at, updated_at, "
    "email_verified) VALUES (:id, :email, :username, 'hash', 'Ann', :at, :at, :verified)"
)


@pytest.fixture
async def before(empty: Database, monkeypatch: pytest.MonkeyPatch) -> Database:
    """A database as it was before there were canonical forms."""

    def older(connection: Connection, service: str) -> None:
        migrations._upgrade(connection, service, "0004")

    async with empty.engine.begin() as connection:
        await connection.run_sync(older, "identity")
    return empty


async def test_existing_users_are_found_by_their_form_and_clashes_are_settled(before: Database) -> None:
    people = (
        ("Plain@Example.com", "Plain", False),
        ("first@b\u00fccher.test", "oldest", False),
        ("First@xn--bcher-kva.test", "proven", True),
        ("\uff46irst@bu\u0308cher.test", "third", True),
        ("alike-1@x.test", "paypal", False),
        ("alike-2@x.test", "paypa1", False),
        ("stra\u00dfe@x.test", "odd", True),
    )
    async with before.transaction() as connection:
        for number, (email, username, verified) in enumerate(people):
            at = START + timedelta(days=number)
            row = {"id": new_id(), "email": email, "username": username, "at": at, "verified": verified}
            await connection.execute(_ADD, row)
    await migrations.migrate(before.engine, ["identity"])
    async with PostgresTransactions(PostgresWork(before)).begin() as transaction:
        users = transaction.users
        for login in ("PLAIN", "plain@example.COM"):
            assert await users.find(login) is not None
        holder = await users.by_email("first@b\u00fccher.test")
        assert holder is not None
        assert (holder.user.username, holder.user.email_verified) == ("proven", True)
        for username in ("oldest", "third"):
            other = await users.by_username(username)
            assert other is not None
            assert not other.user.email_verified
        assert await users.find("paypal") != await users.find("paypa1") is not None
        assert await users.find("stra\u00dfe@x.test") == await users.find("odd")
