"""Listing and ending sessions, and making sure that everybody knows."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from services.identity.errors import SessionNotFound
from services.identity.operations.end_api_keys import EndApiKeys
from services.identity.operations.journal import Journal
from services.identity.ports.directory import SessionDirectory
from services.identity.ports.sessions import EndedSessions
from services.identity.rules.sessions import UserSession

_ANNOUNCE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class EndSessions:
    """Lists and ends sessions.

    Ending raises SessionCheckUnavailable when access tokens could not be ended at once; doing it again does no harm.
    """

    sessions: SessionDirectory
    ended_sessions: EndedSessions
    journal: Journal
    api_keys: EndApiKeys

    async def of_user(self, user_id: UUID) -> list[UserSession]:
        """Return the sessions of a user that go on, the last begun first."""
        return await self.sessions.of_user(user_id)

    async def end(self, user_id: UUID, session_id: str) -> None:
        """End the session of the caller: neither its refresh token nor its access tokens are good any more."""
        async with self.journal.recording("user.logout", str(user_id), session_id=session_id):
            await self.sessions.end(user_id, session_id)
        await self.announce([session_id])

    async def revoke(self, user_id: UUID, session_id: str) -> None:
        """End another session of the caller. Raises SessionNotFound."""
        async with self.journal.recording("session.revoke", str(user_id), session_id=session_id):
            if not await self.sessions.end(user_id, session_id):
                raise SessionNotFound(session_id=session_id)
        await self.announce([session_id])

    async def end_all(self, user_id: UUID, *, keep_api_keys: bool) -> int:
        """End all sessions of a user, and the API keys unless they are to be kept; return how many sessions."""
        async with self.journal.recording("user.logout_everywhere", str(user_id)) as entry:
            ended = await self.sessions.end_all(user_id)
            keys = [] if keep_api_keys else await self.api_keys.end_all(user_id)
            entry.details["api_keys"] = str(len(keys))
        await self.announce(ended)
        await self.api_keys.announce(keys)
        return len(ended)

    async def end_others(self, user_id: UUID, session_id: str) -> list[str]:
        """End all sessions of a user but one and return which; whoever calls announces them."""
        ended: list[str] = []
        # A list shows a hundred at most: look again until none is left.
        while others := [
            one.session_id for one in await self.sessions.of_user(user_id) if one.session_id != session_id
        ]:
            new = [one for one in others if one not in ended and await self.sessions.end(user_id, one)]
            if not new:
                break
            ended.extend(new)
        return ended

    async def announce(self, session_ids: Iterable[str]) -> None:
        """Tell every service that sessions have ended."""
        for session_id in session_ids:
            await self.ended_sessions.announce(session_id)

    async def tidy(self) -> None:
        """Announce again what has ended lately, and forget what expired long ago.

        Valkey may have been away when a session ended, or may have lost what it knew; the directory is the truth.
        """
        await self.announce(await self.sessions.tidy())

    async def keep_tidying(self) -> None:
        """Tidy now and every minute, for ever."""
        while True:
            await self.tidy()
            await asyncio.sleep(_ANNOUNCE_SECONDS)
