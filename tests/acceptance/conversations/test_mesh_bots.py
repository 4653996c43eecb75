"""What the conversations learn of bots, over real gRPC."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from redis.asyncio import Redis

from services.bots.rules import Application, Bot, Prompt, Variable, VariableType
from services.chassis.database import Database
from services.chassis.identifiers import new_id
from services.chassis.owners import Who, owner_of
from services.conversations.backends.mesh_bots import MeshBots
from services.conversations.errors import (
    ApplicationDisabled,
    ApplicationNotFound,
    BotNotFound,
    BotUnusable,
    CannotAnswer,
    PromptVariableInvalid,
)
from services.conversations.ports import Asker
from services.conversations.rules import Answerer
from tests.acceptance.bots.conftest import NO_ID, bots_on
from tests.support.served import served


async def test_a_bot_is_told_with_the_values_of_the_conversation(
    owner: str, database: Database, valkey: Redis, postgres_url: str, valkey_url: str, tmp_path: Path
) -> None:
    who = Who(owner_of(owner, ""), owner)
    async with (
        bots_on(database, valkey) as bots,
        served("bots", tmp_path, postgres_url, valkey_url) as channel,
    ):
        prompt = await bots.prompts.create(who, Prompt(NO_ID, "Told"), None)
        variables = Variable("city"), Variable("age", VariableType.INTEGER, "7")
        await bots.versions.add(who, prompt.prompt_id, "{{city}} to one of {{age}}.", variables, "", None)
        await bots.versions.move(who, prompt.prompt_id, "production", 1, "")
        bot = await bots.bots.create(who, Bot(NO_ID, "Guide", prompt_id=prompt.prompt_id), None)
        unlabelled = await bots.bots.create(
            who, Bot(NO_ID, "Lost", prompt_id=prompt.prompt_id, prompt_label="staging"), None
        )
        site = await bots.applications.create(who, Application(NO_ID, "Site", bot.bot_id), None)
        closed = await bots.applications.create(who, Application(NO_ID, "Closed", bot.bot_id, disabled=True), None)
        mesh = MeshBots(channel)

        def asker(variables: Mapping[str, str], **named: object) -> Asker:
            answerer = Answerer(**(named or {"bot_id": bot.bot_id}), variables=variables)  # type: ignore[arg-type]
            return Asker(owner, "", answerer, private=False)

        for one in (asker({"city": "Huế"}), asker({"city": "Huế"}, application_id=site.application_id)):
            assert (await mesh.resolve(one, strict=True)).prompt == "Huế to one of 7."
        assert (await mesh.resolve(asker({"city": "Huế", "old": "x"}))).prompt == "Huế to one of 7."

        async def refused(one: Asker, failure: type[CannotAnswer]) -> str:
            with pytest.raises(failure) as raised:
                await mesh.resolve(one, strict=True)
            return raised.value.message

        assert "city needs a value" in await refused(asker({}), PromptVariableInvalid)
        assert "town is not a variable" in await refused(asker({"city": "x", "town": "y"}), PromptVariableInvalid)
        assert "age must be of type integer" in await refused(asker({"city": "x", "age": "y"}), PromptVariableInvalid)
        assert "LABEL_NOT_FOUND" in await refused(asker({}, bot_id=unlabelled.bot_id), BotUnusable)
        missing = new_id()
        assert str(missing) in await refused(asker({}, bot_id=missing), BotNotFound)
        assert str(missing) in await refused(asker({}, application_id=missing), ApplicationNotFound)
        await refused(asker({}, application_id=closed.application_id), ApplicationDisabled)
