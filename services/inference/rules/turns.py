"""History in the form that providers take, whatever happened in it.

Strict providers and chat templates want: the system first and once, then user and assistant in turn from the user on,
no empty message, each call once with its result right after it, arguments that are an object, and the user or a result
at the end. Runs that failed, were cancelled or ended empty leave other things behind.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from hashlib import sha256

from services.chassis.storable_text import is_blank
from services.inference.rules import SYSTEM, TOOL, USER, Message, ToolCall, is_object
from services.inference.rules.thoughts import without_thoughts

_ASSISTANT = "assistant"
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_NO_RESULT = "failed: the call has no result"
_NOTHING = "(nothing)"
_GO_ON = "Go on."


def in_turns(messages: Sequence[Message]) -> list[Message]:
    """Return `messages` as strict providers take them. What says nothing is left out; what follows itself is joined."""
    system = [message.text for message in messages if message.role == SYSTEM and not is_blank(message.text)]
    said: list[Message] = []
    ids: set[str] = set()
    rest = [_spoken(message) for message in messages if message.role != SYSTEM]
    for index, message in enumerate(rest):
        if message.tool_calls:
            before = f"{said.pop().text}\n\n" if said and said[-1].role == _ASSISTANT else ""
            said += _round(replace(message, text=before + message.text), _results(rest[index + 1 :]), ids)
        elif message.role in (USER, _ASSISTANT) and not is_blank(message.text):
            _join(said, message)
    while said and said[0].role != USER:
        said.pop(0)
    if not said or said[-1].role == _ASSISTANT:
        said.append(Message(USER, _GO_ON))
    return [Message(SYSTEM, "\n\n".join(system)), *said] if system else said


def _spoken(message: Message) -> Message:
    """Return a message without what the assistant thought: models are given their words back, not their thoughts."""
    return replace(message, text=without_thoughts(message.text)) if message.role == _ASSISTANT else message


def _join(said: list[Message], message: Message) -> None:
    last = said[-1] if said else None
    if last is None or last.tool_calls or last.role != message.role:
        if last is not None and last.role == TOOL and message.role == USER:
            said.append(Message(_ASSISTANT, _NOTHING))
        said.append(message)
    else:
        said[-1] = replace(last, text=f"{last.text}\n\n{message.text}")


def _results(following: Sequence[Message]) -> list[Message]:
    ends = next((index for index, message in enumerate(following) if message.role != TOOL), len(following))
    return list(following[:ends])


def _round(message: Message, results: list[Message], ids: set[str]) -> Iterable[Message]:
    """Return calls and a result for each. Several may have had one id: their results are in their order."""
    calls, answers = [], []
    for call in message.tool_calls:
        found = next((one for one in results if one.tool_call_id == call.call_id), None)
        if found is not None:
            results.remove(found)
        sent = _sent(call, ids)
        told = found.text if found is not None and not is_blank(found.text) else _NOTHING if found else _NO_RESULT
        if not is_object(call.arguments):
            told = f"{told}\nThe arguments were no JSON object: {call.arguments[:1000]}"
        calls.append(sent)
        answers.append(Message(TOOL, told, (), sent.call_id))
    return [replace(message, tool_calls=tuple(calls)), *answers]


def _sent(call: ToolCall, ids: set[str]) -> ToolCall:
    call_id, number = call.call_id, 0
    while call_id in ids or not _ID.fullmatch(call_id):
        # The same in every request, so that providers that remember prompts know this one again.
        call_id = sha256(f"{number}/{call.call_id}".encode(errors="replace")).hexdigest()[:9]
        number += 1
    ids.add(call_id)
    return replace(call, call_id=call_id, arguments=call.arguments if is_object(call.arguments) else "{}")
