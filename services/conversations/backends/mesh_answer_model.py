"""The language model behind the service `inference`, reached over the mesh."""

from collections.abc import AsyncIterator, Sequence

import grpc
from parley.inference.v1.generation_service_pb2 import GenerateRequest
from parley.inference.v1.generation_service_pb2 import PromptMessage as PromptMessageProto
from parley.inference.v1.generation_service_pb2_grpc import GenerationServiceStub

from services.chassis.remote_errors import reason_of
from services.conversations.ports import ModelFailed, Summary
from services.conversations.rules import Metadata, PromptMessage

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

    async def generate(self, messages: Sequence[PromptMessage], seconds: float) -> AsyncIterator[str | Summary]:
        """See the port."""
        request = GenerateRequest(messages=[PromptMessageProto(role=m.role, text=m.text) for m in messages])
        call = self._stub.Generate(request, timeout=seconds)
        try:
            async for response in call:
                if response.text:
                    yield response.text
                if response.HasField("summary"):
                    summary = response.summary
                    yield Summary(
                        Metadata(summary.model, summary.input_tokens, summary.output_tokens, summary.finish_reason)
                    )
        except grpc.aio.AioRpcError as error:
            raise ModelFailed(
                reason_of(error) or error.code().name, error.details() or "", retryable=error.code() in _RETRYABLE
            ) from error
        finally:
            call.cancel()
