"""Streams end with the session they were opened in: one subscription a process hears which sessions have ended."""

from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager

from services.chassis import logs

_log = logs.get(__name__)


class OpenSessions:
    """The sessions in which streams of this process are open."""

    def __init__(self, ended_among: Callable[[list[str]], Awaitable[list[str]]]) -> None:
        """Take what tells which of some sessions have ended already."""
        self._ended_among = ended_among
        self._ends: dict[str, set[Callable[[], None]]] = defaultdict(set)

    @contextmanager
    def watching(self, session_id: str, end: Callable[[], None]) -> Iterator[None]:
        """Call `end` when the session ends within the block."""
        self._ends[session_id].add(end)
        try:
            yield
        finally:
            self._ends[session_id].discard(end)
            if not self._ends[session_id]:
                del self._ends[session_id]

    async def has_ended(self, session_id: str) -> bool:
        """Return whether the session has ended already. Raises SessionCheckUnavailable when that cannot be told."""
        return bool(await self._ended_among([session_id]))

    async def follow(self, announcements: AsyncGenerator[str | None, None]) -> None:
        """End what is open as the announcements say. None stands for those that may have been missed before it."""
        async with aclosing(announcements) as heard:
            async for session_id in heard:
                self._end([session_id] if session_id else await self._ended_among(list(self._ends)))

    def _end(self, session_ids: list[str]) -> None:
        for session_id in session_ids:
            ends = list(self._ends.get(session_id, ()))
            for end in ends:
                end()
            if ends:
                _log.info("streams end with their session", session_id=session_id, streams=len(ends))
