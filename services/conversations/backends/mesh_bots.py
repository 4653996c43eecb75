"""The bots behind the service `bots`, reached over the mesh."""

from uuid import UUID

import grpc
from parley.bots.v1.bot_service_pb2 import ResolveBotRequest
from parley.bots.v1.bot_service_pb2_grpc import BotServiceStub

from services.chassis.remote_errors import reason_of
from services.conversations.errors import BotNotFound, BotUnusable
from services.conversations.ports import Asking, ModelFailed, Persona


class MeshBots:
    """Implements the port Bots."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = BotServiceStub(channel)

    async def resolve(self, bot_id: UUID, user_id: str, organization_id: str) -> Persona:
        """See the port."""
        request = ResolveBotRequest(bot_id=str(bot_id), user_id=user_id, organization_id=organization_id)
        try:
            resolved = await self._stub.ResolveBot(request)
        except grpc.aio.AioRpcError as error:
            reason = reason_of(error) or error.code().name
            if reason == "BOT_NOT_FOUND":
                raise BotNotFound(bot_id=bot_id) from error
            if error.code() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND):
                raise BotUnusable(bot_id=bot_id, cause=reason) from error
            raise ModelFailed(reason, "the bot cannot be asked for now", retryable=True) from error
        bot = resolved.bot
        temperature = bot.parameters.temperature if bot.parameters.HasField("temperature") else None
        asking = Asking(bot.model, bot.parameters.max_output_tokens, temperature)
        return Persona(resolved.prompt, asking, tuple(UUID(one) for one in bot.tool_ids))
