"""Providers that refuse: parameters, turns, length, keys."""

import re
from typing import Any

from tests.support.model_server.answers import Answer, document, unless, well
from tests.support.model_server.turns import fault_of

Shape = Any


def _openai(name: str) -> Answer:
    instead = " Use 'max_completion_tokens' instead." if name == "max_tokens" else ""
    text = f"Unsupported parameter: '{name}' is not supported with this model.{instead}"
    error = {"message": text, "type": "invalid_request_error", "param": name, "code": "unsupported_parameter"}
    return document({"error": error}, 400)


def _openai_value(name: str) -> Answer:
    text = f"Unsupported value: '{name}' does not support 0.7 with this model. Only the default (1) value is supported."
    error = {"message": text, "type": "invalid_request_error", "param": name, "code": "unsupported_value"}
    return document({"error": error}, 400)


def _vllm(name: str) -> Answer:
    detail = f"[{{'type': 'extra_forbidden', 'loc': ('body', '{name}'), 'msg': 'Extra inputs are not permitted'}}]"
    return document({"object": "error", "message": detail, "type": "BadRequestError", "param": None, "code": 400}, 400)


def _fastapi(name: str) -> Answer:
    detail = [{"type": "extra_forbidden", "loc": ["body", name], "msg": "Extra inputs are not permitted", "input": 7}]
    return document({"detail": detail}, 422)


def _mistral(name: str) -> Answer:
    detail = [{"type": "extra_forbidden", "loc": ["body", name], "msg": "Extra inputs are not permitted"}]
    return document({"object": "error", "message": {"detail": detail}, "type": "invalid_request_error"}, 422)


def _google(name: str) -> Answer:
    text = f'Invalid JSON payload received. Unknown name "{name}": Cannot find field.'
    return document([{"error": {"code": 400, "message": text, "status": "INVALID_ARGUMENT"}}], 400)


def _words(name: str) -> Answer:
    return document(f"property '{name}' is unsupported", 400, "text/plain")


_SHAPES = {
    "openai": _openai,
    "value": _openai_value,
    "vllm": _vllm,
    "fastapi": _fastapi,
    "mistral": _mistral,
    "google": _google,
    "words": _words,
}


def _refused(shape: Shape, *names: str) -> Answer:
    """Refuse the first of the parameters that is there; answer well once none is."""
    return unless(lambda body: next((shape(name) for name in names if name in body), None), well())


def _strict(body: dict[str, Any]) -> Answer | None:
    fault = fault_of(body["messages"])
    return document({"error": {"message": fault, "param": "messages"}}, 400) if fault else None


def _most(name: str, most: int) -> Answer:
    text = f"{name} is too large: 8000. This model supports at most {most} completion tokens"
    error = {"message": text, "type": "invalid_request_error", "param": name, "code": "invalid_value"}
    return unless(lambda body: document({"error": error}, 400) if body.get(name, 0) > most else None, well())


def _context(most: int, text: str, **error: object) -> Answer:
    """Refuse messages of more than `most` tokens, of four characters each."""

    def refused(body: dict[str, Any]) -> Answer | None:
        tokens = sum(len(one.get("content") or "") // 4 for one in body["messages"])
        said = {"message": text.format(tokens=tokens, most=most), **error}
        return document({"error": said}, 400) if tokens > most else None

    return unless(refused, well())


_LONG = (
    "This model's maximum context length is {most} tokens. However, your messages resulted in {tokens} tokens. "
    "Please reduce the length of the messages."
)
_NAMES = ("max_tokens", "temperature", "stream_options", "top_p", "parallel_tool_calls", "tool_choice", "stream")

REFUSALS: dict[str, Answer] = {
    **{
        f"no-{re.sub('_', '-', name)}-{shape}": _refused(said, name)
        for name in _NAMES
        for shape, said in _SHAPES.items()
    },
    "no-parameters": _refused(_openai, "max_tokens", "max_completion_tokens", "temperature", "stream_options"),
    "no-parameters-fastapi": _refused(_fastapi, "temperature", "stream_options", "max_tokens", "max_completion_tokens"),
    "no-model": document({"error": {"message": "no such model", "param": "model", "code": "model_not_found"}}, 404),
    "no-messages": document(
        {"error": {"message": "Invalid value for 'temperature' in your text", "param": "messages[0].content"}}, 400
    ),
    "always-max-tokens": _openai("max_tokens"),
    "most-output": _most("max_tokens", 100),
    "strict": unless(_strict, well()),
    "context": _context(1000, _LONG, param="messages", code="context_length_exceeded"),
    "context-unnamed": _context(1000, "the prompt is too long: {tokens} tokens > {most} maximum"),
    "context-always": document({"error": {"message": "too long", "code": "context_length_exceeded"}}, 400),
    "filtered": document({"error": {"message": "sk-a-secret", "code": "content_filter", "param": "prompt"}}, 400),
    "refusal-html": document("<html>sk-a-secret</html>", 400, "text/html"),
    "refusal-deep": document("[" * 100_000, 400),
    "wrong-key": document({"error": {"message": "wrong key sk-a-secret"}}, 401),
    "limited": document({"error": {"message": "slow down"}}, 429),
    "broken": document({"error": {"message": "oops"}}, 500),
}
