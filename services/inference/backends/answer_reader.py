"""What comes of the events of one answer: its text, the calls that it asks for, and how it ended."""

from collections.abc import Iterator, Sequence

from services.inference.backends.answer_stream import ENDED
from services.inference.backends.call_pieces import CallPieces
from services.inference.backends.completion_chunks import Chunk, read_chunks
from services.inference.backends.event_stream import Event
from services.inference.rules import Part, Summary, TakenBack, Tool
from services.inference.rules.thoughts import WithoutThoughts


class ProviderFailed(Exception):
    """The provider tells of an error within its answer; `error` is what it says."""

    def __init__(self, error: object) -> None:
        super().__init__("the provider tells of an error")
        self.error = error


class AnswerReader:
    """Reads one answer. Thoughts are left out, or stand between `<think>` and `</think>` when they are shown."""

    def __init__(self, model_id: str, tools: Sequence[Tool], *, shows_thoughts: bool) -> None:
        self._model_id = model_id
        self._calls = CallPieces(frozenset(tool.name for tool in tools))
        self._thoughts = None if shows_thoughts else WithoutThoughts()
        self._is_thinking = False
        self._usage = (0, 0)
        self._reason = ""
        self._has_content = False
        self._is_ended = False

    @property
    def is_whole(self) -> bool:
        """Whether the model has said all: it told why it stopped."""
        return bool(self._reason) and self._reason != "error"

    @property
    def broke_off(self) -> bool:
        """Whether the answer ended without having been ended."""
        return not self.is_whole and not (self._is_ended and self._has_content and not self._reason)

    def read(self, event: Event) -> Iterator[str | TakenBack]:
        """Yield what an event says. Raises ProviderFailed, Unreadable."""
        if event is ENDED:
            self._is_ended = True
            return
        for chunk in read_chunks(event.data):
            if event.name == "error" and chunk.error is None and not chunk.reason:
                raise ProviderFailed(event.data)
            if chunk.error is not None:
                raise ProviderFailed(chunk.error)
            yield from filter(None, self._told(chunk))

    def end(self) -> Iterator[Part]:
        """Yield what was held back, the calls, and the summary."""
        if self._is_thinking:
            yield "</think>\n"
        if self._thoughts is not None and (rest := self._thoughts.end()):
            yield rest
        calls = self._calls.calls()
        yield from calls
        reason = self._reason or "unknown"
        if calls and reason not in ("length", "content_filter"):
            reason = "tool_calls"
        yield Summary(self._model_id, "stop" if reason == "tool_calls" and not calls else reason, *self._usage)

    def _told(self, chunk: Chunk) -> Iterator[str | TakenBack]:
        self._usage = chunk.usage or self._usage
        repeats = chunk.is_message and self._has_content
        self._reason = chunk.reason or self._reason
        if repeats:
            return  # the whole once more, after it was told bit by bit
        self._calls.add(chunk.calls)
        self._has_content = self._has_content or bool(chunk.text or chunk.calls)
        if self._thoughts is not None:
            if chunk.text:
                said = self._thoughts.feed(chunk.text)
                if self._thoughts.takes_back():
                    yield TakenBack()
                yield said
            return
        if chunk.thought:
            yield chunk.thought if self._is_thinking else f"<think>{chunk.thought}"
            self._is_thinking = True
        if chunk.text:
            yield f"</think>\n{chunk.text}" if self._is_thinking else chunk.text
            self._is_thinking = False
