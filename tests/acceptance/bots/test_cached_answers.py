"""How a bot answers is read from Valkey, shows a change within a second, and survives the loss of Valkey."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from uuid import UUID

import psutil
import pytest
from redis.asyncio import Redis

from services.bots.backends.valkey_caching_answering import ValkeyCachingAnswering
from services.bots.errors import (
    ApplicationDisabled,
    ApplicationNotFound,
    BotNotFound,
    BotsError,
    LabelNotFound,
    VariableUnknown,
)
from services.bots.operations.resolve_bot import Wanted
from services.bots.rules import Application, Bot, bot_key
from services.chassis.database import Database
from services.chassis.etags import etag_of
from services.chassis.owners import Who
from services.chassis.resources import open_valkey
from services.chassis.supervision import keep_running
from tests.acceptance.bots.conftest import NO_ID, Bots, bots_on
from tests.support.stores import running_valkey


@asynccontextmanager
async def relaying(house: Bots) -> AsyncIterator[None]:
    """Run the loop that drops stale entries, as a services process does."""
    task = asyncio.create_task(keep_running("stale", house.relay.run))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until_told(house: Bots, who: Who, bot: Bot, prompt: str) -> float:
    """Ask until the bot is told `prompt`, and return the seconds that it took."""
    began = time.monotonic()
    while (await house.resolve(who, bot)).prompt != prompt:
        assert time.monotonic() - began < 5, "the change never showed"
        await asyncio.sleep(0.01)
    return time.monotonic() - began


async def until_refused(house: Bots, who: Who, application: Application, refusal: type[BotsError]) -> float:
    """Ask until the application is refused so, and return the seconds that it took."""
    began = time.monotonic()
    while time.monotonic() - began < 5:
        try:
            await house.resolve_in(who, application)
        except (ApplicationDisabled, ApplicationNotFound) as refused:
            if isinstance(refused, refusal):
                return time.monotonic() - began
        await asyncio.sleep(0.01)
    raise AssertionError("the change never showed")


async def until_gone(house: Bots, who: Who, bot: Bot) -> float:
    """Ask until the bot is not found, and return the seconds that it took."""
    began = time.monotonic()
    while time.monotonic() - began < 5:
        try:
            await house.resolve(who, bot)
        except BotNotFound:
            return time.monotonic() - began
        await asyncio.sleep(0.01)
    raise AssertionError("the bot never went")


async def move(house: Bots, who: Who, bot: Bot, version: int) -> None:
    """Move the bot's label to a version."""
    assert bot.prompt_id is not None
    ((label,), _) = await house.versions.labels(who, bot.prompt_id, 0, "")
    await house.versions.move(who, bot.prompt_id, "production", version, etag_of(label.revision))


async def test_what_was_read_once_is_not_read_again(house: Bots, ann: Who, monkeypatch: pytest.MonkeyPatch) -> None:
    bot = await house.told(ann, "Be kind to {{name}}.")
    first = await house.resolve(ann, bot)
    assert (first.bot, first.prompt, first.prompt_version) == (bot, "Be kind to you.", 1)

    async def forbidden(*_args: object) -> None:
        raise AssertionError("PostgreSQL was read")

    monkeypatch.setattr(house.behind, "bot", forbidden)
    monkeypatch.setattr(house.behind, "prompt", forbidden)
    assert await house.resolve(ann, bot) == first
    with pytest.raises(VariableUnknown):
        await house.resolving.resolve(Wanted(bot.bot_id, ann.user_id, values={"nmae": "Ann"}))


async def test_a_change_shows_within_a_second_on_every_replica(
    house: Bots, ann: Who, database: Database, valkey: Redis
) -> None:
    bot = await house.told(ann, "one", "two")
    async with bots_on(database, valkey) as replica, relaying(replica):
        assert (await house.resolve(ann, bot)).prompt == "two"
        # `house` runs no loop: as if its process had died right after the commit.
        await move(house, ann, bot, 1)
        assert await until_told(house, ann, bot, "one") <= 1.0
        await house.bots.update(ann, replace(bot, model="another"), ["model"], "")
        began = time.monotonic()
        while (await replica.resolve(ann, bot)).bot.model != "another":
            assert time.monotonic() - began <= 1.0
            await asyncio.sleep(0.01)
        await house.bots.delete(ann, bot.bot_id, "")
        assert await until_gone(replica, ann, bot) <= 1.0


async def test_an_application_answers_with_another_bot_within_a_second(
    house: Bots, ann: Who, database: Database, valkey: Redis
) -> None:
    kind, strict = await house.told(ann, "Be kind."), await house.told(ann, "Be strict.")
    application = await house.applications.create(ann, Application(NO_ID, "Site", kind.bot_id), None)
    async with bots_on(database, valkey) as replica, relaying(replica):
        assert (await house.resolve_in(ann, application)).prompt == "Be kind."
        await house.applications.update(ann, replace(application, bot_id=strict.bot_id), ["bot_id"], "")
        began = time.monotonic()
        while (await house.resolve_in(ann, application)).prompt != "Be strict.":
            assert time.monotonic() - began <= 1.0
            await asyncio.sleep(0.01)
        await house.applications.update(ann, replace(application, disabled=True), ["disabled"], "")
        assert await until_refused(house, ann, application, ApplicationDisabled) <= 1.0
        await house.applications.delete(ann, application.application_id, "")
        assert await until_refused(house, ann, application, ApplicationNotFound) <= 1.0


async def test_a_reader_with_an_old_value_in_its_hands_does_not_store_it(house: Bots, ann: Who, valkey: Redis) -> None:
    bot = await house.told(ann, "one")
    reading, go_on = asyncio.Event(), asyncio.Event()
    behind = house.behind

    class Slow:
        async def bot(self, bot_id: UUID) -> tuple[Bot, str] | None:
            found = await behind.bot(bot_id)
            reading.set()
            await go_on.wait()
            return found

        application = behind.application
        prompt = behind.prompt

    slow = asyncio.create_task(ValkeyCachingAnswering(valkey, Slow(), 60).bot(bot.bot_id))
    await reading.wait()
    await house.bots.update(ann, replace(bot, name="New"), ["name"], "")
    async with relaying(house):
        while await valkey.get(f"bots:cache:{{{bot_key(bot.bot_id)}}}:drops") is None:
            await asyncio.sleep(0.01)
    go_on.set()
    found = await slow
    assert found is not None
    assert found[0].name == "Bot"
    assert (await house.resolve(ann, bot)).bot.name == "New"


async def test_a_label_moves_as_a_whole(house: Bots, ann: Who) -> None:
    bot = await house.told(ann, "one", "two")
    wrong: list[str] = []

    async def look() -> None:
        while not done.is_set():
            resolved = await house.resolve(ann, bot)
            if resolved.prompt != {1: "one", 2: "two"}[resolved.prompt_version]:
                wrong.append(resolved.prompt)

    done = asyncio.Event()
    async with relaying(house):
        readers = [asyncio.create_task(look()) for _ in range(8)]
        for n in range(10):
            await move(house, ann, bot, 1 + n % 2)
        done.set()
        await asyncio.gather(*readers)
    assert wrong == []


async def test_without_valkey_postgresql_answers_and_what_changed_meanwhile_shows_afterwards(
    database: Database, ann: Who
) -> None:
    with running_valkey() as url:
        valkey = open_valkey(url)
        async with bots_on(database, valkey) as house, relaying(house):
            bot = await house.told(ann, "one", "two")
            assert (await house.resolve(ann, bot)).prompt == "two"
            server = _server(url)
            # Stopped, it answers nobody and forgets nothing: the hardest way to be away.
            server.send_signal(signal.SIGSTOP)
            try:
                assert (await house.resolve(ann, bot)).prompt == "two"
                await move(house, ann, bot, 1)
                assert (await house.resolve(ann, bot)).prompt == "one"
            finally:
                server.send_signal(signal.SIGCONT)
            assert await until_told(house, ann, bot, "one") <= 1.0
            server.kill()
            server.wait()
            assert (await house.resolve(ann, bot)).prompt == "one"
            await move(house, ann, bot, 2)
            assert (await house.resolve(ann, bot)).prompt == "two"
        await valkey.aclose()


async def test_a_bot_without_a_labelled_version_says_so(house: Bots, ann: Who) -> None:
    bot = await house.told(ann, "one")
    changed = await house.bots.update(ann, replace(bot, prompt_label="staging"), ["prompt_label"], "")
    with pytest.raises(LabelNotFound):
        await house.resolve(ann, changed)


def _server(url: str) -> psutil.Process:
    port = int(url.rsplit(":", 1)[1].split("/")[0])
    (found,) = (
        process
        for process in psutil.Process().children(recursive=True)
        if any(connection.laddr.port == port for connection in process.net_connections("tcp4"))
    )
    return found
