"""How much of a conversation goes into one request over the mesh. `inference` knows what fits the model."""

from collections.abc import Sequence
from dataclasses import replace

from services.chassis.excerpts import even_limit, excerpt
from services.conversations.rules import PromptMessage


def within(messages: Sequence[PromptMessage], most_bytes: int) -> list[PromptMessage]:
    """Return `messages` in at most about `most_bytes`: results of tools shortened, then without the oldest.

    System messages, and all from the last message of the user on, stay.
    """
    sizes = list(map(_size, messages))
    if sum(sizes) <= most_bytes:
        return list(messages)
    last = max((index for index, one in enumerate(messages) if one.role == "user"), default=0)
    stays = {index for index, one in enumerate(messages) if index >= last or one.role == "system"}
    results = [index for index in stays if messages[index].role == "tool"]
    room = most_bytes - sum(sizes[index] for index in stays) + sum(sizes[index] for index in results)
    limit = even_limit([sizes[index] for index in results], room)
    kept: list[PromptMessage] = []
    left = most_bytes - sum(min(sizes[index], limit) if index in results else sizes[index] for index in stays)
    for index in reversed(range(len(messages))):
        message = messages[index]
        if index in stays:
            kept.append(replace(message, text=excerpt(message.text, limit)) if index in results else message)
        elif sizes[index] <= left:
            left -= sizes[index]
            kept.append(message)
        else:
            left = 0
    return kept[::-1]


def _size(message: PromptMessage) -> int:
    calls = sum(len(one.arguments.encode()) + len(one.name) + len(one.key) for one in message.requests)
    return len(message.text.encode()) + calls
