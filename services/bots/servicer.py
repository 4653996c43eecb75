"""The gRPC services: each RPC reads the request, calls one operation and builds the response."""

from typing import Any
from uuid import UUID

from parley.bots.v1 import application_service_pb2 as application_pb
from parley.bots.v1 import application_service_pb2_grpc as application_grpc
from parley.bots.v1 import bot_service_pb2 as bot_pb
from parley.bots.v1 import bot_service_pb2_grpc as bot_grpc
from parley.bots.v1 import prompt_service_pb2 as prompt_pb
from parley.bots.v1 import prompt_service_pb2_grpc as prompt_grpc
from parley.bots.v1 import prompt_version_service_pb2 as version_pb
from parley.bots.v1 import prompt_version_service_pb2_grpc as version_grpc

from services.bots.operations.keep_applications import KeepApplications
from services.bots.operations.keep_bots import KeepBots
from services.bots.operations.keep_prompts import KeepPrompts
from services.bots.operations.resolve_bot import ResolveBots
from services.bots.operations.version_prompts import VersionPrompts
from services.bots.translation import (
    application_from,
    application_to,
    bot_from,
    bot_to,
    change_to,
    label_to,
    prompt_from,
    prompt_to,
    resolved_to,
    variables_from,
    version_to,
    wanted_from,
)
from services.chassis.identifiers import optional_id
from services.chassis.owners import who


class BotServicer(bot_grpc.BotServiceServicer):
    """Serves parley.bots.v1.BotService."""

    def __init__(self, bots: KeepBots, resolving: ResolveBots) -> None:
        self._bots = bots
        self._resolving = resolving

    async def CreateBot(self, request: bot_pb.CreateBotRequest, context: Any) -> bot_pb.CreateBotResponse:
        bot = await self._bots.create(who(), bot_from(request.bot), optional_id(request.request_id))
        return bot_pb.CreateBotResponse(bot=bot_to(bot))

    async def ListBots(self, request: bot_pb.ListBotsRequest, context: Any) -> bot_pb.ListBotsResponse:
        page, following = await self._bots.page(who(), request.page_size, request.page_token)
        return bot_pb.ListBotsResponse(bots=map(bot_to, page), next_page_token=following)

    async def GetBot(self, request: bot_pb.GetBotRequest, context: Any) -> bot_pb.GetBotResponse:
        return bot_pb.GetBotResponse(bot=bot_to(await self._bots.get(who(), UUID(request.bot_id))))

    async def UpdateBot(self, request: bot_pb.UpdateBotRequest, context: Any) -> bot_pb.UpdateBotResponse:
        wanted = bot_from(request.bot, UUID(request.bot_id))
        bot = await self._bots.update(who(), wanted, list(request.update_mask.paths), request.etag)
        return bot_pb.UpdateBotResponse(bot=bot_to(bot))

    async def DeleteBot(self, request: bot_pb.DeleteBotRequest, context: Any) -> bot_pb.DeleteBotResponse:
        await self._bots.delete(who(), UUID(request.bot_id), request.etag)
        return bot_pb.DeleteBotResponse()

    async def ListChanges(self, request: bot_pb.ListChangesRequest, context: Any) -> bot_pb.ListChangesResponse:
        page, following = await self._bots.changes(
            who(), optional_id(request.subject_id), request.page_size, request.page_token
        )
        return bot_pb.ListChangesResponse(changes=map(change_to, page), next_page_token=following)

    async def ResolveBot(self, request: bot_pb.ResolveBotRequest, context: Any) -> bot_pb.ResolveBotResponse:
        return resolved_to(await self._resolving.resolve(wanted_from(request)))


class ApplicationServicer(application_grpc.ApplicationServiceServicer):
    """Serves parley.bots.v1.ApplicationService."""

    def __init__(self, applications: KeepApplications) -> None:
        self._applications = applications

    async def CreateApplication(
        self, request: application_pb.CreateApplicationRequest, context: Any
    ) -> application_pb.CreateApplicationResponse:
        made = await self._applications.create(
            who(), application_from(request.application), optional_id(request.request_id)
        )
        return application_pb.CreateApplicationResponse(application=application_to(made))

    async def ListApplications(
        self, request: application_pb.ListApplicationsRequest, context: Any
    ) -> application_pb.ListApplicationsResponse:
        page, following = await self._applications.page(who(), request.page_size, request.page_token)
        return application_pb.ListApplicationsResponse(
            applications=map(application_to, page), next_page_token=following
        )

    async def GetApplication(
        self, request: application_pb.GetApplicationRequest, context: Any
    ) -> application_pb.GetApplicationResponse:
        found = await self._applications.get(who(), UUID(request.application_id))
        return application_pb.GetApplicationResponse(application=application_to(found))

    async def UpdateApplication(
        self, request: application_pb.UpdateApplicationRequest, context: Any
    ) -> application_pb.UpdateApplicationResponse:
        wanted = application_from(request.application, UUID(request.application_id))
        changed = await self._applications.update(who(), wanted, list(request.update_mask.paths), request.etag)
        return application_pb.UpdateApplicationResponse(application=application_to(changed))

    async def DeleteApplication(
        self, request: application_pb.DeleteApplicationRequest, context: Any
    ) -> application_pb.DeleteApplicationResponse:
        await self._applications.delete(who(), UUID(request.application_id), request.etag)
        return application_pb.DeleteApplicationResponse()


class PromptServicer(prompt_grpc.PromptServiceServicer):
    """Serves parley.bots.v1.PromptService."""

    def __init__(self, prompts: KeepPrompts, versions: VersionPrompts) -> None:
        self._prompts = prompts
        self._versions = versions

    async def CreatePrompt(
        self, request: prompt_pb.CreatePromptRequest, context: Any
    ) -> prompt_pb.CreatePromptResponse:
        made = await self._prompts.create(who(), prompt_from(request.prompt), optional_id(request.request_id))
        return prompt_pb.CreatePromptResponse(prompt=prompt_to(made))

    async def ListPrompts(self, request: prompt_pb.ListPromptsRequest, context: Any) -> prompt_pb.ListPromptsResponse:
        page, following = await self._prompts.page(who(), request.page_size, request.page_token)
        return prompt_pb.ListPromptsResponse(prompts=map(prompt_to, page), next_page_token=following)

    async def GetPrompt(self, request: prompt_pb.GetPromptRequest, context: Any) -> prompt_pb.GetPromptResponse:
        return prompt_pb.GetPromptResponse(prompt=prompt_to(await self._prompts.get(who(), UUID(request.prompt_id))))

    async def UpdatePrompt(
        self, request: prompt_pb.UpdatePromptRequest, context: Any
    ) -> prompt_pb.UpdatePromptResponse:
        wanted = prompt_from(request.prompt, UUID(request.prompt_id))
        changed = await self._prompts.update(who(), wanted, list(request.update_mask.paths), request.etag)
        return prompt_pb.UpdatePromptResponse(prompt=prompt_to(changed))

    async def DeletePrompt(
        self, request: prompt_pb.DeletePromptRequest, context: Any
    ) -> prompt_pb.DeletePromptResponse:
        await self._prompts.delete(who(), UUID(request.prompt_id), request.etag)
        return prompt_pb.DeletePromptResponse()

    async def RenderPrompt(
        self, request: prompt_pb.RenderPromptRequest, context: Any
    ) -> prompt_pb.RenderPromptResponse:
        text, number = await self._versions.render(
            who(), UUID(request.prompt_id), request.version, dict(request.variables)
        )
        return prompt_pb.RenderPromptResponse(text=text, version=number)


class PromptVersionServicer(version_grpc.PromptVersionServiceServicer):
    """Serves parley.bots.v1.PromptVersionService."""

    def __init__(self, versions: VersionPrompts) -> None:
        self._versions = versions

    async def CreatePromptVersion(
        self, request: version_pb.CreatePromptVersionRequest, context: Any
    ) -> version_pb.CreatePromptVersionResponse:
        version = await self._versions.add(
            who(),
            UUID(request.prompt_id),
            request.text,
            variables_from(request.variables),
            request.note,
            optional_id(request.request_id),
        )
        return version_pb.CreatePromptVersionResponse(version=version_to(version))

    async def ListPromptVersions(
        self, request: version_pb.ListPromptVersionsRequest, context: Any
    ) -> version_pb.ListPromptVersionsResponse:
        page, following = await self._versions.page(
            who(), UUID(request.prompt_id), request.page_size, request.page_token
        )
        return version_pb.ListPromptVersionsResponse(versions=map(version_to, page), next_page_token=following)

    async def GetPromptVersion(
        self, request: version_pb.GetPromptVersionRequest, context: Any
    ) -> version_pb.GetPromptVersionResponse:
        version = await self._versions.get(who(), UUID(request.prompt_id), request.version)
        return version_pb.GetPromptVersionResponse(version=version_to(version))

    async def DiffPromptVersions(
        self, request: version_pb.DiffPromptVersionsRequest, context: Any
    ) -> version_pb.DiffPromptVersionsResponse:
        found = await self._versions.compare(who(), UUID(request.prompt_id), request.from_version, request.to_version)
        return version_pb.DiffPromptVersionsResponse(text=found.text, variables=found.variables)

    async def ListPromptLabels(
        self, request: version_pb.ListPromptLabelsRequest, context: Any
    ) -> version_pb.ListPromptLabelsResponse:
        page, following = await self._versions.labels(
            who(), UUID(request.prompt_id), request.page_size, request.page_token
        )
        return version_pb.ListPromptLabelsResponse(labels=map(label_to, page), next_page_token=following)

    async def MovePromptLabel(
        self, request: version_pb.MovePromptLabelRequest, context: Any
    ) -> version_pb.MovePromptLabelResponse:
        label = await self._versions.move(who(), UUID(request.prompt_id), request.label, request.version, request.etag)
        return version_pb.MovePromptLabelResponse(label=label_to(label))

    async def RollBackPromptLabel(
        self, request: version_pb.RollBackPromptLabelRequest, context: Any
    ) -> version_pb.RollBackPromptLabelResponse:
        label = await self._versions.roll_back(who(), UUID(request.prompt_id), request.label, request.etag)
        return version_pb.RollBackPromptLabelResponse(label=label_to(label))
