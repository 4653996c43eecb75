"""Ending sessions, and making sure that everybody knows."""

import asyncio
from dataclasses import dataclass
from uuid import UUID

from services.identity.ports.directory import SessionDirectory
from services.identity.ports.sessions import EndedSessions

_ANNOUNCE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class EndSessions:
    """Ends sessions."""

    sessions: SessionDirectory
    ended_sessions: EndedSessions

    async def end(self, user_id: UUID, session_id: str) -> None:
        """End a session: neither its refresh token nor its access tokens are good any more.

        Raises:
            SessionCheckUnavailable: access tokens could not be ended; doing it again does no harm.
        """
        await self.sessions.end(user_id, session_id)
        await self.ended_sessions.announce(session_id)

    async def tidy(self) -> None:
        """Announce again what has ended lately, and forget what expired long ago.

        Valkey may have been away when a session ended, or may have lost what it knew; the directory is the truth.
        """
        for session_id in await self.sessions.tidy():
            await self.ended_sessions.announce(session_id)

    async def keep_tidying(self) -> None:
        """Tidy now and every minute, for ever."""
        while True:
            await self.tidy()
            await asyncio.sleep(_ANNOUNCE_SECONDS)
