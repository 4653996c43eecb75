"""What other services ask of `bots`, over real gRPC."""

from pathlib import Path

import grpc
import pytest
from parley.bots.v1.bot_service_pb2 import ListBotsRequest, ResolveBotRequest
from parley.bots.v1.bot_service_pb2_grpc import BotServiceStub

from services.bots.rules import Application
from services.chassis.database import Database
from services.chassis.owners import Who
from tests.acceptance.bots.conftest import NO_ID, Bots
from tests.support.served import served


async def test_other_services_learn_how_a_bot_answers(
    house: Bots, ann: Who, bob: Who, database: Database, postgres_url: str, valkey_url: str, tmp_path: Path
) -> None:
    bot = await house.told(ann, "Be kind to {{name}}.")
    application = await house.applications.create(ann, Application(NO_ID, "Site", bot.bot_id), None)
    async with served("bots", tmp_path, postgres_url, valkey_url) as channel:
        bots = BotServiceStub(channel)
        resolved = await bots.ResolveBot(
            ResolveBotRequest(bot_id=str(bot.bot_id), user_id=ann.user_id, variables={"name": "Ann"})
        )
        assert (resolved.prompt, resolved.prompt_version, resolved.bot.name) == ("Be kind to Ann.", 1, "Bot")
        found = await bots.ResolveBot(
            ResolveBotRequest(
                application_id=str(application.application_id),
                user_id=ann.user_id,
                variables={"town": "Huế"},
                ignore_unknown_variables=True,
            )
        )
        assert (found.prompt, found.bot.id) == ("Be kind to you.", str(bot.bot_id))
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await bots.ResolveBot(ResolveBotRequest(bot_id=str(bot.bot_id), user_id=bob.user_id))
        assert refused.value.code() is grpc.StatusCode.NOT_FOUND
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await bots.ResolveBot(ResolveBotRequest(user_id=ann.user_id))
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await bots.ListBots(ListBotsRequest())
        assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
