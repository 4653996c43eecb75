"""What is said in a private conversation is encrypted wherever it rests."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest
from redis.asyncio import Redis
from sqlalchemy import select, text

from services.chassis.custody import LOCAL_KEYS
from services.chassis.data_keys import DataKeys
from services.chassis.database import Database
from services.chassis.field_keys.local import LocalFieldEncryption
from services.chassis.identifiers import new_id
from services.conversations.backends.postgres_data_keys import PostgresDataKeys
from services.conversations.backends.seals import Seals
from services.conversations.backends.tables import CONVERSATION, MESSAGE, message_of
from services.conversations.errors import FieldNotUpdatable, RequestIdReused
from services.conversations.rules import Context, Conversation
from tests.support.house import House

ROOT = Path(__file__).parents[3]
_SAID = "the treasure lies under the old oak"


async def test_it_rests_nowhere_in_the_clear_and_reads_as_it_was_said(
    house: House, owner: str, database: Database, valkey: Redis
) -> None:
    private = await _open(house, owner)
    request_id = new_id()
    message, run = await house.messages.send(owner, private, _SAID, request_id)
    assert message.text == _SAID
    await house.answers.answer(private)
    events = [event async for event in house.runs.follow(owner, private, run.run_id, 0)]
    assert "".join(event.text for event in events) == f"You said: {_SAID}"
    assert events[-1].message is not None
    assert events[-1].message.text == f"You said: {_SAID}"
    assert house.model.prompts[-1][-1].text == _SAID
    page, _ = await house.messages.page(owner, private, 10, "")
    assert [one.text for one in page] == [_SAID, f"You said: {_SAID}"]
    assert await house.messages.send(owner, private, _SAID, request_id) == (message, await _run(house, owner, run))
    with pytest.raises(RequestIdReused):
        await house.messages.send(owner, private, "something else", request_id)
    assert [place async for place in _at_rest(database, valkey, "treasure")] == []
    # The search finds what is not private.
    public = (await house.conversations.create(owner, "", Context(), None)).conversation_id
    await house.messages.send(owner, public, _SAID, None)
    await house.answers.answer(public)
    found = {place async for place in _at_rest(database, valkey, "treasure")}
    assert {"conversations.message", "conversations.conversation"} < found
    assert any(place.startswith("run:") for place in found)


async def test_it_is_private_for_all_its_life(house: House, owner: str) -> None:
    private = await house.conversations.get(owner, await _open(house, owner))
    assert private.private
    assert private.title == ""
    with pytest.raises(FieldNotUpdatable):
        await house.conversations.update(owner, private, ["private"])
    request_id = new_id()
    await house.conversations.create(owner, "", Context(), request_id, private=True)
    with pytest.raises(RequestIdReused):
        await house.conversations.create(owner, "", Context(), request_id)


async def test_keys_are_rotated_and_wrapped_anew_while_people_talk(
    house: House, owner: str, database: Database, tmp_path: Path
) -> None:
    async with database.transaction() as connection:
        # Those of other tests have keys that went with their folders.
        await connection.execute(text("DELETE FROM conversations.conversation WHERE data_key IS NOT NULL"))
    told: dict[UUID, list[str]] = {}

    async def talk() -> None:
        conversation_id = await _open(house, owner)
        for number in range(3):
            await house.messages.send(owner, conversation_id, f"{_SAID} {number}", None)
        told[conversation_id] = [f"{_SAID} {number}" for number in range(3)]

    await asyncio.gather(*(talk() for _ in range(30)))
    await house.encryption.rotate()
    keys = PostgresDataKeys(database, house.encryption, batch=4)
    stopped = keys.rewrap()
    done, left = await anext(stopped)
    assert (done, left) == (4, 26)
    await stopped.aclose()
    talking = asyncio.gather(*(talk() for _ in range(20)))
    deleted = list(told)[:5]
    for conversation_id in deleted:
        await house.conversations.delete(owner, conversation_id)
        del told[conversation_id]
    # It goes on where it was stopped; a second one at the same time does no harm.
    await asyncio.gather(_all(keys), _all(keys))
    await talking
    assert await _all(keys) == []
    async with database.autocommit() as connection:
        wrapped = list(
            await connection.scalars(select(CONVERSATION.c.data_key).where(CONVERSATION.c.owner_id == owner))
        )
        assert {key.rpartition(":")[0] for key in wrapped} == {"local:1:2"}
        # As a process sees it that starts now.
        fresh = Seals(DataKeys(LocalFieldEncryption(tmp_path / "field-keys.json", "conversations")))
        for conversation_id, texts in told.items():
            seal = await fresh.of_conversation(connection, conversation_id)
            statement = select(MESSAGE).where(MESSAGE.c.conversation_id == conversation_id).order_by(MESSAGE.c.sequence)
            rows = await connection.execute(statement)
            assert [message_of(row, seal).text for row in rows] == texts
    assert len(told) == 45


async def test_the_command_rotates_and_wraps_anew(
    database: Database, valkey: Redis, postgres_url: str, valkey_url: str, owner: str, tmp_path: Path
) -> None:
    async with database.transaction() as connection:
        await connection.execute(text("DELETE FROM conversations.conversation WHERE data_key IS NOT NULL"))
    house = House(database, valkey, tmp_path / LOCAL_KEYS.parent)
    private = await _open(house, owner)
    await house.messages.send(owner, private, _SAID, None)
    await house.wake_ups.close()
    settings = {"HOME": tmp_path, "DATABASE_URL": postgres_url, "VALKEY_URL": valkey_url, "SECRET": "s" * 32}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PARLEY_")}
    environment |= {f"PARLEY_{name}": str(value) for name, value in settings.items()}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "gen")])
    environment["PARLEY_INFERENCE_PROVIDER"] = "scripted"
    told = [
        await asyncio.to_thread(_command, action, environment, tmp_path) for action in ("rotate", "rewrap", "rewrap")
    ]
    assert "rotated" in told[0]
    assert "conversations: 1 done, 0 left" in told[1]
    assert "conversations:" not in told[2]
    page, _ = await House(database, valkey, tmp_path / LOCAL_KEYS.parent).messages.page(owner, private, 10, "")
    assert [one.text for one in page] == [_SAID]


def _command(action: str, environment: dict[str, str], folder: Path) -> str:
    command = [sys.executable, "-m", "services", "encryption", action]
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, check=True).stdout.decode()


async def _open(house: House, owner: str) -> UUID:
    made: Conversation = await house.conversations.create(owner, "", Context(), None, private=True)
    return made.conversation_id


async def _run(house: House, owner: str, run) -> object:  # type: ignore[no-untyped-def]
    return await house.runs.get(owner, run.conversation_id, run.run_id)


async def _all(keys: PostgresDataKeys) -> list[tuple[int, int]]:
    return [progress async for progress in keys.rewrap()]


async def _at_rest(database: Database, valkey: Redis, words: str) -> AsyncIterator[str]:
    """Yield every table and every key in which the words are to be read."""
    async with database.autocommit() as connection:
        tables = await connection.execute(
            text(
                "SELECT table_schema, table_name FROM information_schema.tables"
                " WHERE table_type = 'BASE TABLE' AND table_schema NOT IN ('pg_catalog', 'information_schema')"
            )
        )
        for schema, table in tables.all():
            statement = f'SELECT EXISTS (SELECT FROM "{schema}"."{table}" AS t WHERE t::text LIKE :words)'  # noqa: S608
            if await connection.scalar(text(statement), {"words": f"%{words}%"}):
                yield f"{schema}.{table}"
    async for key in valkey.scan_iter():
        if words.encode() in (await valkey.dump(key) or b""):
            yield key.decode()
