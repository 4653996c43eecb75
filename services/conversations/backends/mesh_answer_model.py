"""The language model behind the service `inference`, reached over the mesh."""

from collections.abc import AsyncIterator, Sequence

import grpc
from parley.inference.v1.generation_service_pb2 import GenerateRequest, ToolCall, ToolDefinition
from parley.inference.v1.generation_service_pb2 import PromptMessage as PromptMessageProto
from parley.inference.v1.generation_service_pb2_grpc import GenerationServiceStub

from services.chassis.channels import MAX_MESSAGE_BYTES
from services.chassis.remote_errors import reason_of
from services.chassis.storable_text import storable
from services.conversations.backends.prompt_size import within
from services.conversations.ports import PLAIN, Asking, ModelFailed, Summary, TakenBack
from services.conversations.rules import Metadata, PromptMessage, ToolRequest

_MOST_BYTES = MAX_MESSAGE_BYTES * 3 // 4  # the rest is for tools and what frames messages
_RETRYABLE = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNKNOWN,
)


class MeshAnswerModel:
    """Implements the port AnswerModel."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = GenerationServiceStub(channel)

    async def generate(
        self, messages: Sequence[PromptMessage], seconds: float, asking: Asking = PLAIN
    ) -> AsyncIterator[str | TakenBack | ToolRequest | Summary]:
        """See the port."""
        request = GenerateRequest(
            messages=map(_message, within(messages, _MOST_BYTES)),
            model=asking.model,
            max_output_tokens=asking.max_output_tokens,
            temperature=asking.temperature,
            tools=[
                ToolDefinition(name=one.name, description=one.description, arguments_schema=one.arguments_schema)
                for one in asking.tools
            ],
            tool_required=asking.tool_required,
        )
        call = self._stub.Generate(request, timeout=seconds)
        try:
            async for response in call:
                if response.takes_back:
                    yield TakenBack()
                for piece in response.pieces:
                    yield piece
                for asked in response.tool_calls:
                    yield ToolRequest(asked.id, asked.name, asked.arguments)
                if response.HasField("summary"):
                    summary = response.summary
                    yield Summary(
                        Metadata(summary.model, summary.input_tokens, summary.output_tokens, summary.finish_reason)
                    )
        except grpc.aio.AioRpcError as error:
            raise ModelFailed(
                reason_of(error) or error.code().name,
                storable(error.details() or ""),
                retryable=error.code() in _RETRYABLE,
            ) from error
        finally:
            call.cancel()


def _message(message: PromptMessage) -> PromptMessageProto:
    calls = [ToolCall(id=one.key, name=one.name, arguments=one.arguments) for one in message.requests]
    return PromptMessageProto(role=message.role, text=message.text, tool_calls=calls, tool_call_id=message.answers)
