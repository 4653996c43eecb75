"""Exchanging a refresh token for the next pair."""

from dataclasses import dataclass

from services.identity.errors import InvalidRefreshToken, RefreshTokenReused
from services.identity.operations.journal import Journal
from services.identity.ports.directory import SessionDirectory
from services.identity.ports.sessions import EndedSessions
from services.identity.rules.sessions import TokenPair


@dataclass(frozen=True, slots=True)
class RefreshSession:
    """Keeps sessions going. A refresh changes no account and is not recorded; a reuse is."""

    sessions: SessionDirectory
    ended_sessions: EndedSessions
    journal: Journal

    async def refresh(self, refresh_token: str) -> TokenPair:
        """Spend a refresh token and return the next pair.

        Raises:
            RefreshTokenReused: the token was spent before; its session has ended.
            InvalidRefreshToken: the token is unknown, expired, of an ended session or of a disabled user.
            SessionCheckUnavailable: the session has ended but that could not be announced; try again.
        """
        try:
            return await self.sessions.refresh(refresh_token)
        except InvalidRefreshToken as refused:
            if refused.session_id:
                await self.ended_sessions.announce(refused.session_id)
            raise
        except RefreshTokenReused as reused:
            try:
                # The session has ended already, whatever becomes of this.
                async with self.journal.recording("session.reuse", reused.user_id, session_id=reused.session_id):
                    raise
            finally:
                await self.ended_sessions.announce(reused.session_id)
