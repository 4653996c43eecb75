"""Between the messages of the contract and the dataclasses of the rules."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from parley.conversations.v1 import chat_service_pb2 as chat_pb
from parley.conversations.v1 import conversation_pb2 as conversation_pb
from parley.conversations.v1 import conversation_service_pb2 as conversation_service_pb
from parley.conversations.v1 import message_pb2 as message_pb
from parley.conversations.v1 import run_pb2 as run_pb
from parley.conversations.v1 import run_service_pb2 as run_service_pb
from parley.conversations.v1 import tool_call_pb2 as tool_call_pb

from services.chassis.identifiers import optional_id
from services.chassis.timestamps import timestamp
from services.conversations.rules import (
    Answerer,
    CallState,
    Context,
    Conversation,
    Message,
    Run,
    RunEvent,
    RunState,
    ShownCall,
)

_STATES = {
    RunState.QUEUED: run_pb.RUN_STATE_QUEUED,
    RunState.RUNNING: run_pb.RUN_STATE_RUNNING,
    RunState.SUCCEEDED: run_pb.RUN_STATE_SUCCEEDED,
    RunState.FAILED: run_pb.RUN_STATE_FAILED,
    RunState.CANCELLED: run_pb.RUN_STATE_CANCELLED,
}
_CALL_STATES = {state: tool_call_pb.ToolCallState.Value(f"TOOL_CALL_STATE_{state.name}") for state in CallState}
_EPOCH = datetime.fromtimestamp(0).astimezone()


def context_from(proto: conversation_pb.ConversationContext) -> Context:
    """Return the context of a request."""
    return Context(proto.topic, proto.user_level, proto.target_language, tuple(proto.learning_goals))


def conversation_from(conversation_id: UUID, proto: conversation_pb.Conversation) -> Conversation:
    """Return the wanted values of an update; what the server sets is left empty."""
    answerer = Answerer(variables=dict(proto.prompt_variables))
    context = context_from(proto.context)
    return Conversation(conversation_id, proto.title, context, 0, _EPOCH, _EPOCH, answerer=answerer)


def answerer_from(request: conversation_service_pb.CreateConversationRequest) -> Answerer:
    """Return who is to answer, as a request says."""
    return Answerer(optional_id(request.bot_id), optional_id(request.application_id), dict(request.prompt_variables))


def conversation_to(conversation: Conversation) -> conversation_pb.Conversation:
    """Return a conversation for an answer."""
    return conversation_pb.Conversation(
        id=str(conversation.conversation_id),
        title=conversation.title,
        context=context_to(conversation.context),
        message_count=conversation.message_count,
        private=conversation.private,
        create_time=timestamp(conversation.created_at),
        update_time=timestamp(conversation.updated_at),
        active_message_id=str(conversation.active_message_id or ""),
        bot_id=str(conversation.answerer.bot_id or ""),
        application_id=str(conversation.answerer.application_id or ""),
        prompt_variables=conversation.answerer.variables,
    )


def context_to(context: Context) -> conversation_pb.ConversationContext:
    """Return a context for an answer."""
    return conversation_pb.ConversationContext(
        topic=context.topic,
        user_level=context.user_level,
        target_language=context.target_language,
        learning_goals=context.learning_goals,
    )


def message_to(message: Message) -> message_pb.Message:
    """Return a message for an answer."""
    proto = message_pb.Message(
        id=str(message.message_id),
        conversation_id=str(message.conversation_id),
        sequence=message.sequence,
        role=message.role,
        text=message.text,
        run_id=str(message.run_id),
        create_time=timestamp(message.created_at),
        parent_id=str(message.parent_id or ""),
        tool_calls=[_shown_to(call) for call in message.tool_calls],
    )
    if message.metadata is not None:
        proto.metadata.model = message.metadata.model
        proto.metadata.input_tokens = message.metadata.input_tokens
        proto.metadata.output_tokens = message.metadata.output_tokens
        proto.metadata.finish_reason = message.metadata.finish_reason
    return proto


def _shown_to(call: ShownCall) -> tool_call_pb.ToolCall:
    return tool_call_pb.ToolCall(
        id=str(call.call_id),
        tool_name=call.name,
        state=_CALL_STATES[call.state],
        arguments=call.arguments,
        result=call.result,
        truncated=call.truncated,
        round=call.round,
        create_time=timestamp(call.asked_at),
    )


def run_to(run: Run) -> run_pb.Run:
    """Return a run for an answer."""
    return run_pb.Run(
        id=str(run.run_id),
        conversation_id=str(run.conversation_id),
        message_id=str(run.message_id),
        state=_STATES[run.state],
        output_message_id=str(run.output_message_id or ""),
        attempt=run.attempt,
        error=run_pb.RunError(reason=run.error_reason, message=run.error_message) if run.error_reason else None,
        create_time=timestamp(run.created_at),
        start_time=timestamp(run.started_at),
        end_time=timestamp(run.ended_at),
    )


def event_to(event: RunEvent, run_id: str) -> run_service_pb.StreamRunResponse:
    """Return an event of a run's stream."""
    proto = run_service_pb.StreamRunResponse(sequence=event.sequence)
    message = None if event.message is None else message_to(event.message)
    match event.kind:
        case "started":
            proto.started.run_id = run_id
        case "delta":
            proto.delta.text = event.text
        case "restarted":
            proto.restarted.attempt = event.attempt
        case "tool" if event.call is not None:
            proto.tool.id = str(event.call.call_id)
            proto.tool.tool_name = event.call.name
            proto.tool.state = _CALL_STATES[event.call.state]
        case "completed":
            proto.completed.CopyFrom(run_service_pb.RunCompleted(message=message))
        case "cancelled":
            proto.cancelled.CopyFrom(run_service_pb.RunCancelled(message=message))
        case _:
            proto.failed.error.CopyFrom(run_pb.RunError(reason=event.error_reason, message=event.error_message))
    return proto


def session_to(conversation: Conversation, messages: Sequence[Message]) -> chat_pb.ChatSession:
    """Return a session for an answer."""
    return chat_pb.ChatSession(
        id=str(conversation.conversation_id),
        title=conversation.title,
        context=context_to(conversation.context),
        messages=[message_to(message) for message in messages],
    )
