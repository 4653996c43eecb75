"""The gRPC services: each RPC reads the request, calls one operation and builds the response."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

from parley.conversations.v1 import chat_service_pb2 as chat_pb
from parley.conversations.v1 import chat_service_pb2_grpc as chat_grpc
from parley.conversations.v1 import conversation_service_pb2 as conversation_pb
from parley.conversations.v1 import conversation_service_pb2_grpc as conversation_grpc
from parley.conversations.v1 import message_service_pb2 as message_pb
from parley.conversations.v1 import message_service_pb2_grpc as message_grpc
from parley.conversations.v1 import run_service_pb2 as run_pb
from parley.conversations.v1 import run_service_pb2_grpc as run_grpc
from parley.conversations.v1 import tool_call_pb2 as tool_call_pb

from services.chassis import caller
from services.chassis.identifiers import optional_id
from services.conversations.operations.branch_messages import BranchMessages
from services.conversations.operations.chat import Chat
from services.conversations.operations.follow_run import FollowRuns
from services.conversations.operations.keep_conversations import KeepConversations
from services.conversations.operations.send_message import SendMessages
from services.conversations.rules import Context
from services.conversations.translation import (
    answerer_from,
    context_from,
    conversation_from,
    conversation_to,
    event_to,
    message_to,
    run_to,
    session_to,
)


class ConversationServicer(conversation_grpc.ConversationServiceServicer):
    """Serves parley.conversations.v1.ConversationService."""

    def __init__(self, conversations: KeepConversations) -> None:
        self._conversations = conversations

    async def CreateConversation(
        self, request: conversation_pb.CreateConversationRequest, context: Any
    ) -> conversation_pb.CreateConversationResponse:
        created = await self._conversations.create(
            caller.current().user_id,
            request.title,
            context_from(request.context),
            optional_id(request.request_id),
            private=request.private,
            answerer=answerer_from(request),
        )
        return conversation_pb.CreateConversationResponse(conversation=conversation_to(created))

    async def ListConversations(
        self, request: conversation_pb.ListConversationsRequest, context: Any
    ) -> conversation_pb.ListConversationsResponse:
        page, following = await self._conversations.page(
            caller.current().user_id, request.page_size, request.page_token
        )
        return conversation_pb.ListConversationsResponse(
            conversations=[conversation_to(one) for one in page], next_page_token=following
        )

    async def GetConversation(
        self, request: conversation_pb.GetConversationRequest, context: Any
    ) -> conversation_pb.GetConversationResponse:
        found = await self._conversations.get(caller.current().user_id, UUID(request.conversation_id))
        return conversation_pb.GetConversationResponse(conversation=conversation_to(found))

    async def UpdateConversation(
        self, request: conversation_pb.UpdateConversationRequest, context: Any
    ) -> conversation_pb.UpdateConversationResponse:
        wanted = conversation_from(UUID(request.conversation_id), request.conversation)
        changed = await self._conversations.update(caller.current().user_id, wanted, list(request.update_mask.paths))
        return conversation_pb.UpdateConversationResponse(conversation=conversation_to(changed))

    async def DeleteConversation(
        self, request: conversation_pb.DeleteConversationRequest, context: Any
    ) -> conversation_pb.DeleteConversationResponse:
        await self._conversations.delete(caller.current().user_id, UUID(request.conversation_id))
        return conversation_pb.DeleteConversationResponse()


class MessageServicer(message_grpc.MessageServiceServicer):
    """Serves parley.conversations.v1.MessageService."""

    def __init__(self, messages: SendMessages, branches: BranchMessages) -> None:
        self._messages = messages
        self._branches = branches

    async def SendMessage(self, request: message_pb.SendMessageRequest, context: Any) -> message_pb.SendMessageResponse:
        message, run = await self._messages.send(
            caller.current().user_id,
            UUID(request.conversation_id),
            request.text,
            optional_id(request.request_id),
            tool_required=request.tool_choice == tool_call_pb.TOOL_CHOICE_REQUIRED,
        )
        return message_pb.SendMessageResponse(message=message_to(message), run=run_to(run))

    async def EditMessage(self, request: message_pb.EditMessageRequest, context: Any) -> message_pb.EditMessageResponse:
        message, run = await self._messages.send(
            caller.current().user_id,
            UUID(request.conversation_id),
            request.text,
            optional_id(request.request_id),
            edits=UUID(request.message_id),
        )
        return message_pb.EditMessageResponse(message=message_to(message), run=run_to(run))

    async def RegenerateMessage(
        self, request: message_pb.RegenerateMessageRequest, context: Any
    ) -> message_pb.RegenerateMessageResponse:
        run = await self._branches.regenerate(
            caller.current().user_id,
            UUID(request.conversation_id),
            UUID(request.message_id),
            optional_id(request.request_id),
        )
        return message_pb.RegenerateMessageResponse(run=run_to(run))

    async def ActivateMessage(
        self, request: message_pb.ActivateMessageRequest, context: Any
    ) -> message_pb.ActivateMessageResponse:
        conversation = await self._branches.activate(
            caller.current().user_id, UUID(request.conversation_id), UUID(request.message_id)
        )
        return message_pb.ActivateMessageResponse(conversation=conversation_to(conversation))

    async def ListMessages(
        self, request: message_pb.ListMessagesRequest, context: Any
    ) -> message_pb.ListMessagesResponse:
        page, following = await self._messages.page(
            caller.current().user_id, UUID(request.conversation_id), request.page_size, request.page_token
        )
        return message_pb.ListMessagesResponse(messages=[message_to(one) for one in page], next_page_token=following)


class RunServicer(run_grpc.RunServiceServicer):
    """Serves parley.conversations.v1.RunService."""

    def __init__(self, runs: FollowRuns) -> None:
        self._runs = runs

    async def GetRun(self, request: run_pb.GetRunRequest, context: Any) -> run_pb.GetRunResponse:
        run = await self._runs.get(caller.current().user_id, UUID(request.conversation_id), UUID(request.run_id))
        return run_pb.GetRunResponse(run=run_to(run))

    async def StreamRun(
        self, request: run_pb.StreamRunRequest, context: Any
    ) -> AsyncIterator[run_pb.StreamRunResponse]:
        async for event in self._runs.follow(
            caller.current().user_id, UUID(request.conversation_id), UUID(request.run_id), request.after
        ):
            yield event_to(event, request.run_id)

    async def CancelRun(self, request: run_pb.CancelRunRequest, context: Any) -> run_pb.CancelRunResponse:
        run = await self._runs.cancel(caller.current().user_id, UUID(request.conversation_id), UUID(request.run_id))
        return run_pb.CancelRunResponse(run=run_to(run))


class ChatServicer(chat_grpc.ChatServiceServicer):
    """Serves parley.conversations.v1.ChatService."""

    def __init__(self, chat: Chat, conversations: KeepConversations) -> None:
        self._chat = chat
        self._conversations = conversations

    async def Chat(self, request: chat_pb.ChatRequest, context: Any) -> chat_pb.ChatResponse:
        session_id, message, seconds = await self._chat.ask(
            caller.current().user_id,
            request.message,
            optional_id(request.session_id),
            Context(user_level=request.user_level, target_language=request.target_language),
            optional_id(request.request_id),
        )
        return chat_pb.ChatResponse(session_id=str(session_id), message=message_to(message), duration=round(seconds, 3))

    async def ListSessions(self, request: chat_pb.ListSessionsRequest, context: Any) -> chat_pb.ListSessionsResponse:
        page, following = await self._conversations.page(
            caller.current().user_id, request.page_size, request.page_token
        )
        return chat_pb.ListSessionsResponse(sessions=[session_to(one, ()) for one in page], next_page_token=following)

    async def GetSession(self, request: chat_pb.GetSessionRequest, context: Any) -> chat_pb.GetSessionResponse:
        conversation, messages = await self._chat.session(caller.current().user_id, UUID(request.session_id))
        return chat_pb.GetSessionResponse(session=session_to(conversation, messages))

    async def DeleteSession(self, request: chat_pb.DeleteSessionRequest, context: Any) -> chat_pb.DeleteSessionResponse:
        await self._conversations.delete(caller.current().user_id, UUID(request.session_id))
        return chat_pb.DeleteSessionResponse()
