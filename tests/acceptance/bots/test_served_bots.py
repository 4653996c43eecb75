"""What other services ask of `bots`, over real gRPC."""

from pathlib import Path

import grpc
import pytest
from parley.bots.v1.application_service_pb2 import ResolveApplicationRequest
from parley.bots.v1.application_service_pb2_grpc import ApplicationServiceStub
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
    _, secret = await house.applications.create_key(ann, application.application_id, None)
    async with served("bots", tmp_path, postgres_url, valkey_url) as channel:
        bots, applications = BotServiceStub(channel), ApplicationServiceStub(channel)
        resolved = await bots.ResolveBot(
            ResolveBotRequest(bot_id=str(bot.bot_id), user_id=ann.user_id, variables={"name": "Ann"})
        )
        assert (resolved.prompt, resolved.prompt_version, resolved.bot.name) == ("Be kind to Ann.", 1, "Bot")
        found = await applications.ResolveApplication(ResolveApplicationRequest(key=secret))
        assert (found.application.bot_id, found.user_id) == (str(bot.bot_id), ann.user_id)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await bots.ResolveBot(ResolveBotRequest(bot_id=str(bot.bot_id), user_id=bob.user_id))
        assert refused.value.code() is grpc.StatusCode.NOT_FOUND
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await applications.ResolveApplication(ResolveApplicationRequest(key="pak_guess"))
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await bots.ListBots(ListBotsRequest())
        assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
