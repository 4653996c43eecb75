"""Protos to dataclasses and back."""

from collections.abc import Sequence

from parley.inference.v1 import generation_service_pb2, model_service_pb2

from services.inference.rules import (
    Message,
    ModelState,
    ModelStatus,
    Part,
    Question,
    TakenBack,
    Tool,
    ToolCall,
)

_STATES = {state: model_service_pb2.ModelState.Value(f"MODEL_STATE_{state.name}") for state in ModelState}


def question(request: generation_service_pb2.GenerateRequest) -> Question:
    """Read what a caller asks for."""
    return Question(
        messages=tuple(map(_message, request.messages)),
        model_id=request.model,
        max_output_tokens=request.max_output_tokens,
        temperature=request.temperature if request.HasField("temperature") else None,
        tools=tuple(Tool(one.name, one.description, one.arguments_schema) for one in request.tools),
        tool_required=request.tool_required,
    )


def _message(proto: generation_service_pb2.PromptMessage) -> Message:
    calls = tuple(ToolCall(one.id, one.name, one.arguments) for one in proto.tool_calls)
    return Message(proto.role, proto.text, calls, proto.tool_call_id)


def generate_response(parts: Sequence[Part]) -> generation_service_pb2.GenerateResponse:
    """Write pieces of an answer, the calls that the model asks for, and the summary."""
    response = generation_service_pb2.GenerateResponse()
    for part in parts:
        if isinstance(part, str):
            response.pieces.append(part)
        elif isinstance(part, TakenBack):
            del response.pieces[:]
            response.takes_back = True
        elif isinstance(part, ToolCall):
            response.tool_calls.add(id=part.call_id, name=part.name, arguments=part.arguments)
        else:
            response.summary.model = part.model_id
            response.summary.finish_reason = part.finish_reason
            response.summary.input_tokens = part.input_tokens
            response.summary.output_tokens = part.output_tokens
    return response


def model(status: ModelStatus) -> model_service_pb2.Model:
    """Write how a model is."""
    return model_service_pb2.Model(
        id=status.model_id,
        provider=status.provider,
        state=_STATES[status.condition.state],
        detail=status.condition.detail,
        context_tokens=status.context_tokens,
        is_default=status.is_default,
    )
