"""Bots, applications and prompts are kept for their owner; retries and two editors are safe."""

import asyncio
from dataclasses import replace

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from services.bots.errors import (
    ApplicationDisabled,
    ApplicationNotFound,
    BotInUse,
    BotNotFound,
    EtagMismatch,
    NothingToRollBack,
    PromptInUse,
    PromptNotFound,
    RequestIdReused,
    TemplateInvalid,
    VariableUnknown,
    VersionNotFound,
)
from services.bots.operations.resolve_bot import Wanted
from services.bots.rules import Application, Bot, Prompt, Variable
from services.chassis.database import Database
from services.chassis.errors import InvalidFields
from services.chassis.etags import etag_of
from services.chassis.identifiers import new_id
from services.chassis.owners import Who, owner_of
from tests.acceptance.bots.conftest import NO_ID, Bots


async def test_a_bot_comes_back_as_it_was_made(house: Bots, ann: Who) -> None:
    prompt = await house.prompts.create(ann, Prompt(NO_ID, "Told"), None)
    wanted = Bot(NO_ID, "Tutor", "teaches", "model-a", 128, 0.25, prompt.prompt_id, "staging", (new_id(), new_id()))
    made = await house.bots.create(ann, wanted, None)
    assert await house.bots.get(ann, made.bot_id) == made
    assert replace(made, bot_id=NO_ID, created_at=None, updated_at=None) == wanted


async def test_retries_make_one_of_each(house: Bots, ann: Who) -> None:
    request_id = new_id()
    bots = await asyncio.gather(*[house.bots.create(ann, Bot(NO_ID, "Once"), request_id) for _ in range(20)])
    assert len({bot.bot_id for bot in bots}) == 1
    with pytest.raises(RequestIdReused):
        await house.bots.create(ann, Bot(NO_ID, "Once", model="another"), request_id)
    await house.bots.update(ann, Bot(bots[0].bot_id, "Changed"), ["name"], "")
    assert (await house.bots.create(ann, Bot(NO_ID, "Once"), request_id)).name == "Changed"
    prompt = await house.prompts.create(ann, Prompt(NO_ID, "Once"), request_id)
    assert (await house.prompts.create(ann, Prompt(NO_ID, "Once"), request_id)).prompt_id == prompt.prompt_id
    versions = await asyncio.gather(
        *[house.versions.add(ann, prompt.prompt_id, "Same.", [], "", request_id) for _ in range(20)]
    )
    assert {version.number for version in versions} == {1}
    with pytest.raises(RequestIdReused):
        await house.versions.add(ann, prompt.prompt_id, "Another.", [], "", request_id)


async def test_of_two_who_change_a_bot_one_is_refused(house: Bots, ann: Who) -> None:
    bot = await house.bots.create(ann, Bot(NO_ID, "Bot"), None)
    results = await asyncio.gather(
        *[house.bots.update(ann, replace(bot, name=f"Bot {n}"), ["name"], etag_of(bot.revision)) for n in range(10)],
        return_exceptions=True,
    )
    assert sum(isinstance(result, Bot) for result in results) == 1
    assert sum(isinstance(result, EtagMismatch) for result in results) == 9
    assert (await house.bots.get(ann, bot.bot_id)).revision == 2
    with pytest.raises(InvalidFields, match="name"):
        await house.bots.update(ann, replace(bot, name=" "), ["name"], "")


async def test_what_is_used_is_not_deleted(house: Bots, ann: Who) -> None:
    bot = await house.told(ann, "Be kind.")
    assert bot.prompt_id is not None
    application = await house.applications.create(ann, Application(NO_ID, "Site", bot.bot_id), None)
    with pytest.raises(BotInUse):
        await house.bots.delete(ann, bot.bot_id, "")
    with pytest.raises(PromptInUse):
        await house.prompts.delete(ann, bot.prompt_id, "")
    await house.applications.delete(ann, application.application_id, "")
    await house.bots.delete(ann, bot.bot_id, "")
    await house.prompts.delete(ann, bot.prompt_id, "")
    with pytest.raises(PromptNotFound):
        await house.versions.get(ann, bot.prompt_id, 1)


async def test_nothing_of_another_owner_is_found(house: Bots, ann: Who, bob: Who) -> None:
    bot = await house.told(ann, "Be kind.")
    assert bot.prompt_id is not None
    application = await house.applications.create(ann, Application(NO_ID, "Site", bot.bot_id), None)
    with pytest.raises(BotNotFound):
        await house.bots.get(bob, bot.bot_id)
    with pytest.raises(BotNotFound):
        await house.bots.update(bob, bot, ["name"], "")
    with pytest.raises(BotNotFound):
        await house.bots.delete(bob, bot.bot_id, "")
    with pytest.raises(BotNotFound):
        await house.applications.create(bob, Application(NO_ID, "Site", bot.bot_id), None)
    with pytest.raises(PromptNotFound):
        await house.bots.create(bob, Bot(NO_ID, "Thief", prompt_id=bot.prompt_id), None)
    with pytest.raises(PromptNotFound):
        await house.versions.move(bob, bot.prompt_id, "production", 1, "")
    with pytest.raises(ApplicationNotFound):
        await house.applications.delete(bob, application.application_id, "")
    with pytest.raises(BotNotFound):
        await house.resolve(bob, bot)
    assert (await house.bots.page(bob, 0, ""))[0] == []
    assert (await house.bots.changes(bob, bot.bot_id, 0, ""))[0] == []


async def test_people_of_one_organisation_share_their_bots(house: Bots) -> None:
    organization_id = str(new_id())
    ann, bob = (Who(owner_of(name, organization_id), name) for name in ("ann", "bob"))
    bot = await house.told(ann, "Be kind.")
    changed = await house.bots.update(bob, replace(bot, name="Ours"), ["name"], "")
    assert changed.name == "Ours"
    assert (await house.resolving.resolve(Wanted(bot.bot_id, "carl", organization_id))).prompt == "Be kind."
    with pytest.raises(BotNotFound):
        await house.resolving.resolve(Wanted(bot.bot_id, "ann"))
    changes, _ = await house.bots.changes(ann, bot.bot_id, 0, "")
    assert [(change.user_id, change.action, change.detail) for change in changes] == [
        ("bob", "updated", "name"),
        ("ann", "created", "Bot"),
    ]


async def test_pages_hold_everything_once_the_newest_first(house: Bots, ann: Who) -> None:
    made = [(await house.bots.create(ann, Bot(NO_ID, f"b{n}"), None)).bot_id for n in range(5)]
    seen, token = [], ""
    while True:
        page, token = await house.bots.page(ann, 2, token)
        seen += [bot.bot_id for bot in page]
        if not token:
            break
    assert seen == made[::-1]


async def test_an_application_answers_those_whose_it_is(house: Bots, ann: Who, bob: Who) -> None:
    bot = await house.told(ann, "Be kind to {{name}}.")
    application = await house.applications.create(ann, Application(NO_ID, "Site", bot.bot_id), None)
    found = await house.resolve_in(ann, application)
    assert (found.bot.bot_id, found.prompt) == (bot.bot_id, "Be kind to you.")
    with pytest.raises(ApplicationNotFound):
        await house.resolve_in(bob, application)
    closed = await house.applications.create(ann, Application(NO_ID, "Closed", bot.bot_id, disabled=True), None)
    with pytest.raises(ApplicationDisabled):
        await house.resolve_in(ann, closed)
    for wanted in (Wanted(None, ann.user_id), Wanted(bot.bot_id, ann.user_id, "", application.application_id)):
        with pytest.raises(InvalidFields, match="bot_id"):
            await house.resolving.resolve(wanted)


async def test_values_that_the_prompt_has_no_variable_for_are_refused_or_passed_over(house: Bots, ann: Who) -> None:
    bot = await house.told(ann, "Be kind to {{name}}.")
    plain = await house.bots.create(ann, Bot(NO_ID, "Plain"), None)
    for one, prompt in ((bot, "Be kind to Ann."), (plain, "")):
        wanted = Wanted(one.bot_id, ann.user_id, values={"name": "Ann", "town": "Huế"})
        with pytest.raises(VariableUnknown):
            await house.resolving.resolve(wanted)
        assert (await house.resolving.resolve(replace(wanted, ignore_unknown=True))).prompt == prompt


async def test_a_version_never_changes(house: Bots, ann: Who, database: Database) -> None:
    prompt = await house.prompts.create(ann, Prompt(NO_ID, "Told"), None)
    made = await house.versions.add(ann, prompt.prompt_id, "{{name}}", [Variable("name")], "first", None)
    with pytest.raises(DBAPIError, match="never changes"):
        async with database.transaction() as connection:
            await connection.execute(text("UPDATE bots.prompt_version SET text = 'changed'"))
    assert await house.versions.get(ann, prompt.prompt_id, 1) == made
    with pytest.raises(TemplateInvalid):
        await house.versions.add(ann, prompt.prompt_id, "{{nmae}}", [Variable("name")], "", None)
    assert (await house.prompts.get(ann, prompt.prompt_id)).latest_version == 1


async def test_versions_are_numbered_without_gaps_by_many_at_once(house: Bots, ann: Who) -> None:
    prompt = await house.prompts.create(ann, Prompt(NO_ID, "Told"), None)
    made = await asyncio.gather(*[house.versions.add(ann, prompt.prompt_id, f"t{n}", [], "", None) for n in range(20)])
    assert sorted(version.number for version in made) == list(range(1, 21))
    first, token = await house.versions.page(ann, prompt.prompt_id, 15, "")
    rest, end = await house.versions.page(ann, prompt.prompt_id, 15, token)
    assert [version.number for version in [*first, *rest]] == list(range(20, 0, -1))
    assert end == ""


async def test_a_label_is_moved_by_one_at_a_time_and_every_move_is_recorded(house: Bots, ann: Who) -> None:
    prompt = await house.prompts.create(ann, Prompt(NO_ID, "Told"), None)
    for n in range(1, 4):
        await house.versions.add(ann, prompt.prompt_id, f"t{n}", [], "", None)
    label = await house.versions.move(ann, prompt.prompt_id, "production", 1, "")
    results = await asyncio.gather(
        *[
            house.versions.move(ann, prompt.prompt_id, "production", 2 + n % 2, etag_of(label.revision))
            for n in range(10)
        ],
        return_exceptions=True,
    )
    assert sum(isinstance(result, EtagMismatch) for result in results) == 9
    ((now,), _) = await house.versions.labels(ann, prompt.prompt_id, 0, "")
    assert now.before == (1,)
    with pytest.raises(EtagMismatch):
        await house.versions.move(ann, prompt.prompt_id, "production", 1, "")
    with pytest.raises(VersionNotFound):
        await house.versions.move(ann, prompt.prompt_id, "staging", 9, "")
    back = await house.versions.roll_back(ann, prompt.prompt_id, "production", etag_of(now.revision))
    assert back.version == 1
    with pytest.raises(NothingToRollBack):
        await house.versions.roll_back(ann, prompt.prompt_id, "production", etag_of(back.revision))
    changes, _ = await house.bots.changes(ann, prompt.prompt_id, 3, "")
    assert [change.action for change in changes[:2]] == ["label_rolled_back", "label_moved"]
    assert changes[0].detail == f"production from version {now.version} back to version 1"
