"""Exchanging a refresh token for the next pair."""

from dataclasses import dataclass

from services.identity.errors import InvalidRefreshToken, RefreshTokenReused
from services.identity.ports.directory import SessionDirectory
from services.identity.ports.sessions import EndedSessions
from services.identity.rules.sessions import TokenPair


@dataclass(frozen=True, slots=True)
class RefreshSession:
    """Keeps sessions going."""

    sessions: SessionDirectory
    ended_sessions: EndedSessions

    async def refresh(self, refresh_token: str) -> TokenPair:
        """Spend a refresh token and return the next pair.

        Raises:
            RefreshTokenReused: the token was spent before; its session has ended.
            InvalidRefreshToken: the token is unknown, expired, of an ended session or of a disabled user.
            SessionCheckUnavailable: the session has ended but that could not be announced; try again.
        """
        try:
            return await self.sessions.refresh(refresh_token)
        except (RefreshTokenReused, InvalidRefreshToken) as refused:
            if refused.session_id:
                await self.ended_sessions.announce(refused.session_id)
            raise
