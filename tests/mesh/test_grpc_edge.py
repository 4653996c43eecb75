"""The edge as gRPC clients see it: every RPC by its typed stub, health, reflection, rich errors."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import grpc
import pytest
from google.protobuf import descriptor_pb2, field_mask_pb2
from google.protobuf.descriptor_pool import DescriptorPool
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from parley.access.v1 import access_pb2
from parley.conversations.v1 import (
    chat_service_pb2 as chats,
)
from parley.conversations.v1 import (
    chat_service_pb2_grpc,
    conversation_pb2,
    conversation_service_pb2_grpc,
    message_service_pb2_grpc,
    run_pb2,
    run_service_pb2_grpc,
)
from parley.conversations.v1 import (
    conversation_service_pb2 as conversations,
)
from parley.conversations.v1 import (
    message_service_pb2 as messages,
)
from parley.conversations.v1 import (
    run_service_pb2 as runs,
)
from parley.identity.v1 import (
    auth_service_pb2 as auth,
)
from parley.identity.v1 import (
    auth_service_pb2_grpc,
    discovery_service_pb2,
    discovery_service_pb2_grpc,
    user_pb2,
    user_service_pb2_grpc,
)
from parley.identity.v1 import (
    user_service_pb2 as users,
)
from parley.inference.v1 import model_service_pb2, model_service_pb2_grpc

from tests.mesh import contract
from tests.support.callers import PASSWORD, Edge, Person, grpc_bearer


@dataclass
class Talk:
    """Ada's conversation with one answer, and who else is there."""

    edge: Edge
    ada: Person
    admin: Person
    conversation_id: str
    run_id: str

    @property
    def channel(self) -> grpc.aio.Channel:
        """The edge."""
        return self.edge.channel

    @property
    def token(self) -> tuple[tuple[str, str], ...]:
        """Ada's metadata."""
        return self.ada.metadata

    @property
    def ids(self) -> dict[str, str]:
        """What names the run."""
        return {"conversation_id": self.conversation_id, "run_id": self.run_id}


@pytest.fixture
async def talk(edge: Edge, ada: Person, admin: Person) -> Talk:
    """A conversation with one answer."""
    conversation = await ada.open_conversation(title="Talk")
    run = await ada.say(conversation, "hello")
    await ada.hear(run)
    return Talk(edge, ada, admin, conversation.rpartition("/")[2], run.rpartition("/")[2])


async def register(talk: Talk) -> None:
    name = f"grpc-{uuid4().hex[:12]}"
    request = auth.RegisterRequest(email=f"{name}@example.org", username=name, password=PASSWORD)
    answer = await auth_service_pb2_grpc.AuthServiceStub(talk.channel).Register(request)
    assert (answer.user.username, list(answer.user.roles)) == (name, ["user"])


async def login_refresh_logout(talk: Talk) -> None:
    stub = auth_service_pb2_grpc.AuthServiceStub(talk.channel)
    first = await stub.Login(auth.LoginRequest(login=talk.ada.user["username"], password=PASSWORD))
    assert (first.token_type, first.expires_in) == ("Bearer", 1800)
    second = await stub.Refresh(auth.RefreshRequest(refresh_token=first.refresh_token))
    metadata = grpc_bearer(second.access_token)
    assert (await stub.GetMe(auth.GetMeRequest(), metadata=metadata)).user.id == talk.ada.id
    await stub.Logout(auth.LogoutRequest(), metadata=metadata)
    with pytest.raises(grpc.aio.AioRpcError) as failure:
        await stub.GetMe(auth.GetMeRequest(), metadata=metadata)
    assert failure.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def get_me(talk: Talk) -> None:
    answer = await auth_service_pb2_grpc.AuthServiceStub(talk.channel).GetMe(auth.GetMeRequest(), metadata=talk.token)
    assert answer.user.email == talk.ada.user["email"]


async def get_user(talk: Talk) -> None:
    stub = user_service_pb2_grpc.UserServiceStub(talk.channel)
    request = users.GetUserRequest(user_id=talk.ada.id)
    assert (await stub.GetUser(request, metadata=talk.admin.metadata)).user.id == talk.ada.id
    with pytest.raises(grpc.aio.AioRpcError) as failure:
        await stub.GetUser(request, metadata=talk.token)
    assert failure.value.code() is grpc.StatusCode.PERMISSION_DENIED


async def get_current_user(talk: Talk) -> None:
    stub = user_service_pb2_grpc.UserServiceStub(talk.channel)
    assert (await stub.GetCurrentUser(users.GetCurrentUserRequest(), metadata=talk.token)).user.id == talk.ada.id


async def update_current_user(talk: Talk) -> None:
    stub = user_service_pb2_grpc.UserServiceStub(talk.channel)
    mask = field_mask_pb2.FieldMask(paths=["level"])
    wanted = user_pb2.User(level="c2", display_name="Ignored")
    request = users.UpdateCurrentUserRequest(user=wanted, update_mask=mask)
    user = (await stub.UpdateCurrentUser(request, metadata=talk.token)).user
    assert (user.level, user.display_name) == ("c2", "Ada")


async def get_provider_metadata(talk: Talk) -> None:
    stub = discovery_service_pb2_grpc.DiscoveryServiceStub(talk.channel)
    body = await stub.GetProviderMetadata(discovery_service_pb2.GetProviderMetadataRequest())
    assert body.content_type == "application/json"
    assert talk.edge.url.encode() in body.data


async def get_json_web_key_set(talk: Talk) -> None:
    stub = discovery_service_pb2_grpc.DiscoveryServiceStub(talk.channel)
    assert b'"keys"' in (await stub.GetJsonWebKeySet(discovery_service_pb2.GetJsonWebKeySetRequest())).data


async def create_conversation(talk: Talk) -> None:
    stub = conversation_service_pb2_grpc.ConversationServiceStub(talk.channel)
    context = conversation_pb2.ConversationContext(topic="Food", learning_goals=["order"])
    request = conversations.CreateConversationRequest(title="New", context=context)
    created = (await stub.CreateConversation(request, metadata=talk.token)).conversation
    assert (created.title, created.context) == ("New", context)


async def list_conversations(talk: Talk) -> None:
    stub = conversation_service_pb2_grpc.ConversationServiceStub(talk.channel)
    answer = await stub.ListConversations(conversations.ListConversationsRequest(page_size=5), metadata=talk.token)
    assert [item.id for item in answer.conversations] == [talk.conversation_id]


async def get_conversation(talk: Talk) -> None:
    stub = conversation_service_pb2_grpc.ConversationServiceStub(talk.channel)
    request = conversations.GetConversationRequest(conversation_id=talk.conversation_id)
    assert (await stub.GetConversation(request, metadata=talk.token)).conversation.message_count == 2


async def update_conversation(talk: Talk) -> None:
    stub = conversation_service_pb2_grpc.ConversationServiceStub(talk.channel)
    request = conversations.UpdateConversationRequest(
        conversation_id=talk.conversation_id,
        conversation=conversation_pb2.Conversation(title="Renamed"),
        update_mask=field_mask_pb2.FieldMask(paths=["title"]),
    )
    assert (await stub.UpdateConversation(request, metadata=talk.token)).conversation.title == "Renamed"


async def delete_conversation(talk: Talk) -> None:
    stub = conversation_service_pb2_grpc.ConversationServiceStub(talk.channel)
    request = conversations.DeleteConversationRequest(conversation_id=talk.conversation_id)
    await stub.DeleteConversation(request, metadata=talk.token)
    with pytest.raises(grpc.aio.AioRpcError) as failure:
        await stub.DeleteConversation(request, metadata=talk.token)
    assert failure.value.code() is grpc.StatusCode.NOT_FOUND


async def send_message(talk: Talk) -> None:
    stub = message_service_pb2_grpc.MessageServiceStub(talk.channel)
    request = messages.SendMessageRequest(conversation_id=talk.conversation_id, text="more")
    answer = await stub.SendMessage(request, metadata=talk.token)
    assert (answer.message.sequence, answer.message.run_id) == (3, answer.run.id)
    assert answer.run.state in (run_pb2.RUN_STATE_QUEUED, run_pb2.RUN_STATE_RUNNING)


async def list_messages(talk: Talk) -> None:
    stub = message_service_pb2_grpc.MessageServiceStub(talk.channel)
    request = messages.ListMessagesRequest(conversation_id=talk.conversation_id)
    answer = await stub.ListMessages(request, metadata=talk.token)
    assert [message.text for message in answer.messages] == ["hello", "You said: hello"]


async def get_run(talk: Talk) -> None:
    stub = run_service_pb2_grpc.RunServiceStub(talk.channel)
    run = (await stub.GetRun(runs.GetRunRequest(**talk.ids), metadata=talk.token)).run
    assert run.state == run_pb2.RUN_STATE_SUCCEEDED


async def stream_run(talk: Talk) -> None:
    stub = run_service_pb2_grpc.RunServiceStub(talk.channel)
    request = runs.StreamRunRequest(conversation_id=talk.conversation_id, run_id=talk.run_id, after=1)
    events = [event async for event in stub.StreamRun(request, metadata=talk.token)]
    assert [event.sequence for event in events] == [2, 3, 4, 5]
    assert "".join(event.delta.text for event in events) == "You said: hello" == events[-1].completed.message.text


async def cancel_run(talk: Talk) -> None:
    stub = run_service_pb2_grpc.RunServiceStub(talk.channel)
    run = await talk.ada.say(f"/api/v1/chat/conversations/{talk.conversation_id}", "word " * 200)
    ids = talk.ids | {"run_id": run.rpartition("/")[2]}
    await stub.CancelRun(runs.CancelRunRequest(**ids), metadata=talk.token)
    request = runs.StreamRunRequest(conversation_id=talk.conversation_id, run_id=ids["run_id"])
    events = [event async for event in stub.StreamRun(request, metadata=talk.token)]
    assert events[-1].WhichOneof("event") == "cancelled"


async def chat(talk: Talk) -> None:
    stub = chat_service_pb2_grpc.ChatServiceStub(talk.channel)
    answer = await stub.Chat(chats.ChatRequest(message="hi", session_id=talk.conversation_id), metadata=talk.token)
    assert (answer.session_id, answer.message.text) == (talk.conversation_id, "You said: hi")
    assert answer.duration > 0


async def list_sessions(talk: Talk) -> None:
    stub = chat_service_pb2_grpc.ChatServiceStub(talk.channel)
    answer = await stub.ListSessions(chats.ListSessionsRequest(), metadata=talk.token)
    assert [session.id for session in answer.sessions] == [talk.conversation_id]


async def get_session(talk: Talk) -> None:
    stub = chat_service_pb2_grpc.ChatServiceStub(talk.channel)
    answer = await stub.GetSession(chats.GetSessionRequest(session_id=talk.conversation_id), metadata=talk.token)
    assert [message.role for message in answer.session.messages] == ["user", "assistant"]


async def delete_session(talk: Talk) -> None:
    stub = chat_service_pb2_grpc.ChatServiceStub(talk.channel)
    await stub.DeleteSession(chats.DeleteSessionRequest(session_id=talk.conversation_id), metadata=talk.token)
    assert (await talk.ada.get("/api/v1/chat/conversations"))["conversations"] == []


async def get_models_status(talk: Talk) -> None:
    stub = model_service_pb2_grpc.ModelServiceStub(talk.channel)
    assert (await stub.GetModelsStatus(model_service_pb2.GetModelsStatusRequest())).models[0].id == "scripted"


CALLS: dict[str, Callable[[Talk], Awaitable[None]]] = {
    "AuthService.Register": register,
    "AuthService.Login": login_refresh_logout,
    "AuthService.Refresh": login_refresh_logout,
    "AuthService.Logout": login_refresh_logout,
    "AuthService.GetMe": get_me,
    "UserService.GetUser": get_user,
    "UserService.GetCurrentUser": get_current_user,
    "UserService.UpdateCurrentUser": update_current_user,
    "DiscoveryService.GetProviderMetadata": get_provider_metadata,
    "DiscoveryService.GetJsonWebKeySet": get_json_web_key_set,
    "ConversationService.CreateConversation": create_conversation,
    "ConversationService.ListConversations": list_conversations,
    "ConversationService.GetConversation": get_conversation,
    "ConversationService.UpdateConversation": update_conversation,
    "ConversationService.DeleteConversation": delete_conversation,
    "MessageService.SendMessage": send_message,
    "MessageService.ListMessages": list_messages,
    "RunService.GetRun": get_run,
    "RunService.StreamRun": stream_run,
    "RunService.CancelRun": cancel_run,
    "ChatService.Chat": chat,
    "ChatService.ListSessions": list_sessions,
    "ChatService.GetSession": get_session,
    "ChatService.DeleteSession": delete_session,
    "ModelService.GetModelsStatus": get_models_status,
}


@pytest.mark.parametrize("call", dict.fromkeys(CALLS.values()), ids=lambda call: str(call.__name__))
async def test_an_rpc_by_its_typed_stub(talk: Talk, call: Callable[[Talk], Awaitable[None]]) -> None:
    await call(talk)


async def test_a_service_only_rpc_is_not_at_the_edge(edge: Edge, admin: Person) -> None:
    hidden = [method for method in contract.methods() if contract.level(method) == access_pb2.LEVEL_SERVICE]
    assert len(hidden) > 1
    for method in hidden:
        assert not contract.routes(method)
        channel: Any = edge.channel
        call = channel.unary_stream(contract.path(method))(b"", metadata=admin.metadata)
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await call.read()
        assert failure.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_an_error_carries_its_reason_and_its_field(edge: Edge, ada: Person) -> None:
    stub = conversation_service_pb2_grpc.ConversationServiceStub(edge.channel)
    with pytest.raises(grpc.aio.AioRpcError) as failure:
        await stub.ListConversations(conversations.ListConversationsRequest(page_size=-1), metadata=ada.metadata)
    assert failure.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    packed = dict(failure.value.trailing_metadata() or ())["grpc-status-details-bin"]
    assert isinstance(packed, bytes)
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    details = status_pb2.Status.FromString(packed).details
    assert [detail.Unpack(into) for detail, into in zip(details, (info, bad), strict=True)] == [True, True]
    assert (info.reason, bad.field_violations[0].field) == ("INVALID_FIELD", "page_size")


async def test_health(edge: Edge) -> None:
    stub: Any = health_pb2_grpc.HealthStub(edge.channel)
    for service in ("", *{method.containing_service.full_name for method in contract.methods()}):
        answer = await stub.Check(health_pb2.HealthCheckRequest(service=service))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    watch = stub.Watch(health_pb2.HealthCheckRequest())
    assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
    watch.cancel()
    with pytest.raises(grpc.aio.AioRpcError) as failure:
        await stub.Check(health_pb2.HealthCheckRequest(service="nobody"))
    assert failure.value.code() is grpc.StatusCode.NOT_FOUND


async def test_reflection_tells_a_stranger_everything_that_is_needed_for_a_call(edge: Edge) -> None:
    channel: Any = edge.channel  # the stub knows the synchronous API only
    mirror: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
    wanted = "parley.conversations.v1.RunService"
    questions = [
        reflection_pb2.ServerReflectionRequest(list_services=""),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol=wanted),
    ]
    call = mirror.ServerReflectionInfo(iter(questions))
    listed, found = await call.read(), await call.read()
    names = {service.name for service in listed.list_services_response.service}
    assert {method.containing_service.full_name for method in contract.methods()} <= names
    assert "grpc.health.v1.Health" in names
    pool = DescriptorPool()
    for file in _in_order(found.file_descriptor_response.file_descriptor_proto):
        pool.AddSerializedFile(file)
    service = pool.FindServiceByName(wanted)
    assert {method.name for method in service.methods} == {"GetRun", "StreamRun", "CancelRun"}
    call.cancel()


def _in_order(files: Any) -> list[bytes]:
    """Return serialized files so that each comes after those that it imports."""
    waiting = {file.name: file for file in map(descriptor_pb2.FileDescriptorProto.FromString, files)}
    ordered: list[bytes] = []
    while waiting:
        ready = [name for name, file in waiting.items() if not set(file.dependency) & set(waiting)]
        assert ready
        ordered += [waiting.pop(name).SerializeToString() for name in ready]
    return ordered
