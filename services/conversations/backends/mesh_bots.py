"""The bots behind the service `bots`, reached over the mesh."""

from uuid import UUID

import grpc
from parley.bots.v1.bot_service_pb2 import ResolveBotRequest
from parley.bots.v1.bot_service_pb2_grpc import BotServiceStub

from services.chassis.remote_errors import info_of
from services.conversations.errors import (
    ApplicationDisabled,
    ApplicationNotFound,
    BotNotFound,
    BotUnusable,
    CannotAnswer,
    PromptVariableInvalid,
)
from services.conversations.ports import Asker, Asking, ModelFailed, Persona
from services.conversations.rules import Answerer

_VARIABLES = {
    "VARIABLE_MISSING": "needs a value",
    "VARIABLE_UNKNOWN": "is not a variable of the prompt",
    "VARIABLE_INVALID": "must be of type {type}",
}
_REFUSALS = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND, grpc.StatusCode.FAILED_PRECONDITION


class MeshBots:
    """Implements the port Bots."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = BotServiceStub(channel)

    async def resolve(self, asker: Asker, *, strict: bool = False) -> Persona:
        """See the port."""
        answerer = asker.answerer
        request = ResolveBotRequest(
            bot_id=str(answerer.bot_id or ""),
            application_id=str(answerer.application_id or ""),
            user_id=asker.user_id,
            organization_id=asker.organization_id,
            variables=answerer.variables,
            ignore_unknown_variables=not strict,
        )
        try:
            resolved = await self._stub.ResolveBot(request)
        except grpc.aio.AioRpcError as error:
            raise _failure(error, answerer) from error
        bot = resolved.bot
        temperature = bot.parameters.temperature if bot.parameters.HasField("temperature") else None
        asking = Asking(bot.model, bot.parameters.max_output_tokens, temperature)
        return Persona(resolved.prompt, asking, tuple(UUID(one) for one in bot.tool_ids))


def _failure(error: grpc.aio.AioRpcError, answerer: Answerer) -> CannotAnswer | ModelFailed:
    info = info_of(error)
    reason = info.reason or error.code().name
    if reason == "APPLICATION_NOT_FOUND":
        return ApplicationNotFound(application_id=answerer.application_id)
    if reason == "APPLICATION_DISABLED":
        return ApplicationDisabled(application_id=answerer.application_id)
    if reason == "BOT_NOT_FOUND" and answerer.bot_id is not None:
        return BotNotFound(bot_id=answerer.bot_id)
    if reason in _VARIABLES:
        told = dict(info.metadata)
        return PromptVariableInvalid(variable=told["variable"], cause=_VARIABLES[reason].format_map(told))
    if error.code() in _REFUSALS:
        named = {"bot_id": answerer.bot_id, "application_id": answerer.application_id}
        return BotUnusable(cause=reason, **{name: value for name, value in named.items() if value is not None})
    return ModelFailed(reason, "the bot cannot be asked for now", retryable=True)
