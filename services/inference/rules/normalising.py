"""What models say, made such that every part of Parley can hold it. All answers pass here, and only here."""

import re
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import replace
from uuid import uuid4

from services.chassis.storable_text import ends_in_half, storable
from services.inference.rules import MAX_ARGUMENTS_CHARACTERS, MAX_CALLS, Part, Summary, TakenBack, ToolCall

MAX_ANSWER_BYTES = 1024 * 1024
"""What is stored, sent and listed of one answer at most."""
_NO_NAME = re.compile(r"[^A-Za-z0-9_-]")
_ID = re.compile(r"[A-Za-z0-9_.:|=-]{1,100}")
_MOST_NAME_CHARACTERS = 64
_OWN_ID_CHARACTERS = 9  # what Mistral takes; few enough to differ, for they only have to within an answer


async def normalised(parts: AsyncIterator[Part], model_id: str) -> AsyncGenerator[Part, None]:
    """Yield `parts` with texts that can be stored, no empty one, and calls whose ids differ.

    Halves of a character are joined over pieces. An answer of more than MAX_ANSWER_BYTES ends there, as one that was
    cut (`length`); calls beyond MAX_CALLS are left out.
    """
    held, pieces, room = "", 0, MAX_ANSWER_BYTES
    ids: set[str] = set()
    async for part in parts:
        if isinstance(part, str):
            text = held + part
            held = text[-1:] if ends_in_half(text) else ""
            text = storable(text.removesuffix(held))
        else:
            text, held = storable(held), ""
        size = len(text.encode())
        if size > room:
            yield text.encode()[:room].decode(errors="ignore")
            yield Summary(model_id, "length", 0, pieces + 1)
            return
        if text:
            room -= size
            pieces += 1
            yield text
        if isinstance(part, ToolCall) and len(ids) < MAX_CALLS:
            call = _normalised_call(part, ids)
            ids.add(call.call_id)
            yield call
        elif isinstance(part, Summary | TakenBack):
            room = MAX_ANSWER_BYTES
            yield part


def _normalised_call(call: ToolCall, ids: set[str]) -> ToolCall:
    """Return a call with an id that no other of the answer has, a name that every provider takes back, and its text."""
    call_id = call.call_id
    if call_id in ids or not _ID.fullmatch(call_id):
        call_id = uuid4().hex[:_OWN_ID_CHARACTERS]
    name = _NO_NAME.sub("_", call.name)[:_MOST_NAME_CHARACTERS] or "unnamed"
    return replace(call, call_id=call_id, name=name, arguments=storable(call.arguments[: MAX_ARGUMENTS_CHARACTERS + 1]))
