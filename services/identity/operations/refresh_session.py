"""Exchanging a refresh token for the next pair."""

from dataclasses import dataclass

from services.chassis.interceptors import client_address
from services.identity.errors import InvalidRefreshToken, RefreshTokenReused
from services.identity.operations.journal import Journal
from services.identity.ports.directory import SessionDirectory
from services.identity.ports.sessions import EndedSessions, RefreshAnswers
from services.identity.rules.clients import client_of, network_of
from services.identity.rules.sessions import TokenPair


@dataclass(frozen=True, slots=True)
class RefreshSession:
    """Keeps sessions going. A refresh changes no account and is not recorded; a reuse is."""

    sessions: SessionDirectory
    answers: RefreshAnswers
    ended_sessions: EndedSessions
    journal: Journal

    async def refresh(self, refresh_token: str) -> TokenPair:
        """Spend a refresh token and return the next pair; the same one again to the same client for some seconds.

        Two tabs of a browser refresh at the same moment, and an answer may be lost on its way.

        Raises:
            RefreshTokenReused: the token was spent before; its session has ended.
            InvalidRefreshToken: the token is unknown, expired, of an ended session or of a disabled user.
            SessionCheckUnavailable: the session has ended but that could not be announced; try again.
        """
        client = client_of(network_of(client_address.current()), client_address.agent())
        claim = await self.answers.claim(refresh_token, client)
        if claim.answer is not None and not await self.ended_sessions.contains(claim.answer.session_id):
            return claim.answer
        try:
            pair = await self._spend(refresh_token)
        except BaseException:
            if claim.is_first:
                await self.answers.forget(refresh_token)
            raise
        if claim.is_first:
            await self.answers.keep(refresh_token, client, pair)
        return pair

    async def _spend(self, refresh_token: str) -> TokenPair:
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
