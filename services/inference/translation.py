"""Protos to dataclasses and back."""

from parley.inference.v1 import generation_service_pb2, model_service_pb2

from services.inference.rules import Message, ModelState, ModelStatus, Question, Summary

_STATES = {state: model_service_pb2.ModelState.Value(f"MODEL_STATE_{state.name}") for state in ModelState}


def question(request: generation_service_pb2.GenerateRequest) -> Question:
    """Read what a caller asks for."""
    return Question(
        messages=tuple(Message(message.role, message.text) for message in request.messages),
        model_id=request.model,
        max_output_tokens=request.max_output_tokens,
        temperature=request.temperature if request.HasField("temperature") else None,
    )


def generate_response(part: str | Summary) -> generation_service_pb2.GenerateResponse:
    """Write a piece of an answer, or its summary."""
    if isinstance(part, str):
        return generation_service_pb2.GenerateResponse(text=part)
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
