"""A model that says what it heard. For tests and load: it costs next to nothing."""

import asyncio
import re
from collections.abc import AsyncGenerator

from services.inference.rules import Prompt, Summary

_WORD = re.compile(r"\s*\S+|\s+\Z")


class ScriptedChatModel:
    """Answers `You said: <the last user message>` word by word, `delay_seconds` between words. Counts words."""

    def __init__(self, model_id: str, delay_seconds: float) -> None:
        self._model_id = model_id
        self._delay_seconds = delay_seconds

    async def stream(self, prompt: Prompt) -> AsyncGenerator[str | Summary, None]:
        """See the port ChatModel. The pieces keep their spaces: joined they are the answer. It is never cut short."""
        heard = next((message.text for message in reversed(prompt.messages) if message.role == "user"), "")
        words = _WORD.findall(f"You said: {heard}")
        for index, word in enumerate(words):
            # sleep(0) would still cost a turn of the event loop.
            if self._delay_seconds and index:
                await asyncio.sleep(self._delay_seconds)
            yield word
        read = sum(len(message.text.split()) for message in prompt.messages)
        yield Summary(self._model_id, "stop", read, len(words))
