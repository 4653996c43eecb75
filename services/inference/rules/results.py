"""Results of tools that are longer than a model reads: shortened for it, whole where the call is kept."""

from collections.abc import Sequence
from dataclasses import replace

from services.chassis.excerpts import even_limit, excerpt
from services.inference.rules import SYSTEM, TOOL, USER, Message

_HISTORY_SHARE = 4  # a quarter of what there is stays for what was said before


def with_short_results(messages: Sequence[Message], counts: Sequence[int], budget: int) -> list[Message]:
    """Return `messages` with the results of tools shortened, the longest most, so that what has to stay fits `budget`.

    What has to stay are the system messages and all from the last message of the user on.
    """
    last = max((index for index, message in enumerate(messages) if message.role == USER), default=0)
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
