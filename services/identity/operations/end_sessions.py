"""Ending sessions, and making sure that everybody knows."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from services.identity.ports import Clock, EndedSessions, Transactions

_ANNOUNCE_SECONDS = 60.0
# Expired sessions are kept for a while, for whoever asks what happened.
_REMEMBERED = timedelta(days=2)


@dataclass(frozen=True, slots=True)
class EndSessions:
    """Ends sessions."""

    transactions: Transactions
    ended_sessions: EndedSessions
    access_lifetime: timedelta
    clock: Clock

    async def end(self, session_id: str) -> None:
        """End a session: neither its refresh token nor its access tokens are good any more.

        Raises:
            SessionCheckUnavailable: access tokens could not be ended; doing it again does no harm.
        """
        ours = _uuid(session_id)
        if ours is not None:
            async with self.transactions.begin() as transaction:
                await transaction.sessions.end(ours, self.clock())
        await self.ended_sessions.announce(session_id)

    async def tidy(self) -> None:
        """Announce again what has ended lately, and forget what expired long ago.

        Valkey may have been away when a session ended, or may have lost what it knew; PostgreSQL is the truth.
        """
        now = self.clock()
        async with self.transactions.begin() as transaction:
            await transaction.sessions.forget_expired(now - _REMEMBERED)
            ended = await transaction.sessions.ended_since(now - self.access_lifetime)
        for session_id in ended:
            await self.ended_sessions.announce(str(session_id))

    async def keep_tidying(self) -> None:
        """Tidy now and every minute, for ever."""
        while True:
            await self.tidy()
            await asyncio.sleep(_ANNOUNCE_SECONDS)


def _uuid(session_id: str) -> UUID | None:
    try:
        return UUID(session_id)
    except ValueError:
        # Another issuer names its sessions otherwise; their access tokens are ended all the same.
        return None
