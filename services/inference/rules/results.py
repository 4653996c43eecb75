"""Results of tools, and calls, that are longer than a model reads: shortened for it, whole where they are kept."""

import json
from collections.abc import Sequence
from dataclasses import replace

from services.chassis.excerpts import even_limit, excerpt
from services.inference.rules import SYSTEM, TOOL, USER, Message, ToolCall, is_object

_MOST_UNREADABLE_CHARACTERS = 1000
_MOST_CALL_BYTES = 2000
_HISTORY_SHARE = 4  # a quarter of what there is stays for what was said before


def with_short_faults(messages: Sequence[Message]) -> list[Message]:
    """Return `messages` with arguments cut that are no object: providers are sent only what was wrong with them."""

    def cut(call: ToolCall) -> ToolCall:
        if len(call.arguments) <= _MOST_UNREADABLE_CHARACTERS or is_object(call.arguments):
            return call
        return replace(call, arguments=f"{call.arguments[:_MOST_UNREADABLE_CHARACTERS]}…")

    return [replace(one, tool_calls=tuple(map(cut, one.tool_calls))) if one.tool_calls else one for one in messages]


def with_short_calls(messages: Sequence[Message], counts: Sequence[int], budget: int) -> list[Message]:
    """Return `messages` with what the assistant said and asked for since the user's last message shortened.

    They are left alone when they leave half of `budget` to the results.
    """
    last = _last_question(messages)
    stay = [index for index, one in enumerate(messages) if one.role != TOOL and (index >= last or one.role == SYSTEM)]
    if sum(counts[index] for index in stay) <= budget // 2:
        return list(messages)

    calls = sum(len(one.tool_calls) for one in messages[last:])
    most = min(_MOST_CALL_BYTES, budget // max(1, calls))  # a token is three bytes or so: a third of what there is

    def cut(call: ToolCall) -> ToolCall:
        if len(call.arguments.encode()) <= most:
            return call
        told = {"shortened": excerpt(call.arguments, most)}
        return replace(call, arguments=json.dumps(told, ensure_ascii=False))

    return [
        replace(one, text=excerpt(one.text, _MOST_CALL_BYTES), tool_calls=tuple(map(cut, one.tool_calls)))
        if one.tool_calls and index > last
        else one
        for index, one in enumerate(messages)
    ]


def with_short_results(messages: Sequence[Message], counts: Sequence[int], budget: int) -> list[Message]:
    """Return `messages` with the results of tools shortened, the longest most, so that what has to stay fits `budget`.

    What has to stay are the system messages and all from the last message of the user on.
    """
    last = _last_question(messages)
    results = [index for index, message in enumerate(messages) if message.role == TOOL and index > last]
    stays = [index for index, message in enumerate(messages) if index >= last or message.role == SYSTEM]
    room = budget - sum(counts[index] for index in stays) + sum(counts[index] for index in results)
    if len(stays) < len(messages):
        room -= room // _HISTORY_SHARE
    limit = even_limit([counts[index] for index in results], room)
    short = list(messages)
    for index in results:
        if counts[index] > limit:
            text = messages[index].text
            most = len(text.encode()) * limit // counts[index]
            short[index] = replace(messages[index], text=excerpt(text, most))
    return short


def _last_question(messages: Sequence[Message]) -> int:
    return max((index for index, message in enumerate(messages) if message.role == USER), default=0)
