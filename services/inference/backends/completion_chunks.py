"""What a chunk of a chat completion says, whatever its shape: nothing of it has the types that the API promises."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_MOST_TOKENS = 2**31 - 1  # what the contract's int32 holds
_MOST_DEPTH = 8
_THOUGHTS = ("reasoning_content", "reasoning", "thinking")
_REASONS = {
    **dict.fromkeys(("stop", "eos", "eos_token", "end_turn", "stop_sequence", "complete", "completed"), "stop"),
    **dict.fromkeys(("length", "max_tokens", "max_output_tokens", "model_length"), "length"),
    **dict.fromkeys(("tool_calls", "tool_call", "tool_use", "function_call"), "tool_calls"),
    **dict.fromkeys(
        ("content_filter", "safety", "recitation", "blocklist", "prohibited_content", "sensitive", "refusal"),
        "content_filter",
    ),
    **dict.fromkeys(("error", "abort", "network_error", "insufficient_system_resource"), "error"),
}


class Unreadable(ValueError):
    """An event that holds a chunk, and cannot be read: part of the answer may be lost."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """What a chunk says. `reason` is why the model stopped, empty while it goes on; `error` what the provider says."""

    text: str = ""
    thought: str = ""
    calls: tuple[object, ...] = ()
    reason: str = ""
    usage: tuple[int, int] | None = None
    error: object = None
    is_message: bool = False
    """Whether it tells the whole message instead of what has come since the last chunk."""


def read_chunks(data: str) -> Iterator[Chunk]:
    """Yield what JSON values, one after the other, say. What is no object says nothing. Raises Unreadable."""
    for value in _values(data):
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, Mapping):
                yield _chunk(one)


def _values(data: str) -> Iterator[object]:
    decoder = json.JSONDecoder(strict=False, parse_int=_integer)
    at = 0
    while at < len(data):
        if data[at].isspace():
            at += 1
            continue
        try:
            value, at = decoder.raw_decode(data, at)
        except (ValueError, RecursionError):
            if data[at] == "{":
                raise Unreadable from None
            return  # some servers send words to show that they live
        yield value


def _integer(digits: str) -> int:
    return int(digits) if len(digits) < 20 else _MOST_TOKENS


def _chunk(said: Mapping[str, Any]) -> Chunk:
    usage = _usage(said.get("usage"))
    if said.get("error"):
        return Chunk(usage=usage, error=said["error"])
    if said.get("object") == "error":
        return Chunk(usage=usage, error=said)
    choice = _choice(said.get("choices"))
    if choice is None:
        return Chunk(usage=usage)
    delta, is_message = choice.get("delta"), False
    if not isinstance(delta, Mapping):
        delta, is_message = choice.get("message"), True
    if not isinstance(delta, Mapping):
        delta, is_message = {"content": choice.get("text")}, False
    text, thought = _texts(delta.get("content"))
    refusal, _ = _texts(delta.get("refusal"))
    thoughts = next((told for name in _THOUGHTS if (told := "".join(_texts(delta.get(name))))), "")
    return Chunk(
        text + refusal, thought + thoughts, _calls(delta), _reason(choice.get("finish_reason")), usage, None, is_message
    )


def _choice(choices: object) -> Mapping[str, Any] | None:
    """Return the first answer: we ask for one only, but a stream of several would mix them."""
    several = choices if isinstance(choices, list) else [choices]
    return next((one for one in several if isinstance(one, Mapping) and one.get("index") in (None, 0, "0", "")), None)


def _texts(content: object, depth: int = _MOST_DEPTH) -> tuple[str, str]:
    """Return what is said and what is thought in a content: a text, parts of several kinds, or a number."""
    if depth == 0:
        return "", ""
    if isinstance(content, str):
        return content, ""
    if isinstance(content, int | float) and not isinstance(content, bool):
        return str(content), ""
    if isinstance(content, Mapping):
        if content.get("type") in ("thinking", "reasoning"):
            inner = next((content[key] for key in ("thinking", "reasoning", "text") if key in content), None)
            return "", "".join(_texts(inner, depth - 1))
        return _texts(content.get("text", content.get("value")), depth - 1)
    if isinstance(content, list):
        found = [_texts(one, depth - 1) for one in content]
        return "".join(said for said, _ in found), "".join(thought for _, thought in found)
    return "", ""


def _calls(delta: Mapping[str, Any]) -> tuple[object, ...]:
    calls = delta.get("tool_calls")
    if isinstance(calls, list):
        return tuple(calls)
    if isinstance(calls, Mapping):
        return (calls,)
    legacy = delta.get("function_call")
    return ({"index": "function_call", "function": legacy},) if isinstance(legacy, Mapping) else ()


def _reason(told: object) -> str:
    if told is None or told == "":
        return ""
    return _REASONS.get(told.lower(), "other") if isinstance(told, str) else "other"


def _usage(told: object) -> tuple[int, int] | None:
    if not isinstance(told, Mapping):
        return None
    names = (("prompt_tokens", "input_tokens"), ("completion_tokens", "output_tokens"))
    found = [next((told[name] for name in either if name in told), None) for either in names]
    return _tokens(found[0]), _tokens(found[1])


def _tokens(told: object) -> int:
    if isinstance(told, bool) or not isinstance(told, int | float | str):
        return 0
    try:
        return min(max(0, int(float(told))), _MOST_TOKENS)
    except (ValueError, OverflowError):
        return 0
