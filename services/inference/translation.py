"""Protos to dataclasses and back."""

from parley.inference.v1 import generation_service_pb2, model_service_pb2

from services.inference.rules import Message, ModelState, ModelStatus, Question, Summary, Tool, ToolCall

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


def generate_response(part: str | ToolCall | Summary) -> generation_service_pb2.GenerateResponse:
    """Write a piece of an answer, a call that the model asks for, or the summary."""
    if isinstance(part, str):
        return generation_service_pb2.GenerateResponse(text=part)
    if isinstance(part, ToolCall):
        call = generation_service_pb2.ToolCall(id=part.call_id, name=part.name, arguments=part.arguments)
        return generation_service_pb2.GenerateResponse(tool_call=call)
    return generation_service_pb2.GenerateResponse(
        summary=generation_service_pb2.GenerationSummary(
            model=part.model_id,
            finish_reason=part.finish_reason,
            input_tokens=part.input_tokens,
            output_tokens=part.output_tokens,
        )
    )


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
