"""A model that says what it heard. For tests and load: it costs next to nothing."""

import asyncio
import itertools
import re
from collections.abc import AsyncGenerator

from services.inference.rules import Part, Prompt, Summary, ToolCall

_CALL = re.compile(r"^call ([\w-]+)(?: (.*))?$", re.MULTILINE)
_WORD = re.compile(r"\s*\S+|\s+\Z")


class ScriptedChatModel:
    """Answers `You said: <the last user message>` word by word, `delay_seconds` between words. Counts words.

    A line `call <name> <arguments in JSON>` of the message makes it ask for that call, if it was given the tool; with
    the results it answers `The tools said: <results>`. A line `again` after it lets it ask for the same once more.
    """

    def __init__(self, model_id: str, delay_seconds: float) -> None:
        self._model_id = model_id
        self._delay_seconds = delay_seconds

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Part, None]:
        """See the port ChatModel. The pieces keep their spaces: joined they are the answer. It is never cut short."""
        heard = next((message.text for message in reversed(prompt.messages) if message.role == "user"), "")
        read = sum(len(message.text.split()) for message in prompt.messages)
        results = list(itertools.takewhile(lambda message: message.role == "tool", reversed(prompt.messages)))
        calls = _calls(prompt, heard)
        if calls and (not results or "again" in heard.splitlines()):
            for call in calls:
                yield call
            yield Summary(self._model_id, "tool_calls", read, len(calls))
            return
        said = "; ".join(message.text for message in reversed(results))
        words = _WORD.findall(f"The tools said: {said}" if results else f"You said: {heard}")
        for index, word in enumerate(words):
            # sleep(0) would still cost a turn of the event loop.
            if self._delay_seconds and index:
                await asyncio.sleep(self._delay_seconds)
            yield word
        yield Summary(self._model_id, "stop", read, len(words))


def _calls(prompt: Prompt, heard: str) -> list[ToolCall]:
    names = {tool.name for tool in prompt.tools}
    return [
        ToolCall(f"call_{number}", found[1], found[2] or "{}")
        for number, found in enumerate(_CALL.finditer(heard))
        if found[1] in names
    ]
