"""What providers with strict turns take: chat templates that raise, and APIs that check."""

import json
import re
from collections.abc import Sequence
from typing import Any

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


def fault_of(messages: Sequence[dict[str, Any]]) -> str:
    """Return why a strict provider refuses messages; empty when it takes them."""
    before, open_calls, seen = "", list[str](), set[str]()
    for index, message in enumerate(messages):
        role = message.get("role") or ""
        if fault := _fault_of_turn(message, before, is_first=index == 0, is_open=bool(open_calls)):
            return f"{index}: {fault}"
        if role == "tool":
            if message.get("tool_call_id") not in open_calls:
                return f"{index}: a result without a call"
            open_calls.remove(message["tool_call_id"])
        for call in message.get("tool_calls") or ():
            if fault := _fault_of_call(call, seen):
                return f"{index}: {fault}"
            seen.add(call["id"])
            open_calls.append(call["id"])
        before = role
    if open_calls:
        return "a call has no result"
    return "" if before in ("user", "tool") else "the last message is not the user's"


def _fault_of_turn(message: dict[str, Any], before: str, *, is_first: bool, is_open: bool) -> str:
    role, content = message.get("role"), message.get("content")
    faults = {
        "a call has no result": is_open and role != "tool",
        "system is not first": role == "system" and not is_first,
        f"a user after {before}": role == "user" and before not in ("", "system", "assistant"),
        f"an assistant after {before or 'nothing'}": role == "assistant" and before not in ("user", "tool"),
        f"an empty {role}": not message.get("tool_calls") and not (content or "").strip(),
    }
    return next((fault for fault, is_there in faults.items() if is_there), "")


def _fault_of_call(call: dict[str, Any], seen: set[str]) -> str:
    if not isinstance(call.get("id"), str) or not _ID.fullmatch(call["id"]):
        return f"the id {call.get('id')!r}"
    if call["id"] in seen:
        return f"the id {call['id']!r} twice"
    if not _ID.fullmatch(call["function"]["name"]):
        return f"the name {call['function']['name']!r}"
    try:
        arguments = json.loads(call["function"]["arguments"], parse_constant=_refuse)
    except ValueError:
        return "arguments that are no JSON"
    return "" if isinstance(arguments, dict) else "arguments that are no object"


def _refuse(word: str) -> None:
    raise ValueError(word)
