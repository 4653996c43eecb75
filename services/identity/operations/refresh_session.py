"""Exchanging a refresh token for the next pair."""

from dataclasses import dataclass

from services.identity.errors import InvalidRefreshToken, RefreshTokenReused
from services.identity.operations.issue_tokens import IssueTokens, TokenPair
from services.identity.ports import Clock, EndedSessions, Transactions
from services.identity.rules import Verdict, fingerprint, judge_refresh


@dataclass(frozen=True, slots=True)
class RefreshSession:
    """Keeps sessions going."""

    transactions: Transactions
    ended_sessions: EndedSessions
    tokens: IssueTokens
    clock: Clock

    async def refresh(self, secret: str) -> TokenPair:
        """Spend a refresh token and return the next pair.

        Raises:
            RefreshTokenReused: the token was spent before; its session has ended.
            InvalidRefreshToken: the token is unknown, expired, of an ended session or of a disabled user.
            SessionCheckUnavailable: the session has ended but that could not be announced; try again.
        """
        now = self.clock()
        async with self.transactions.begin() as transaction:
            shown = await transaction.sessions.lock_shown(fingerprint(secret))
            verdict = judge_refresh(shown, now)
            if shown is not None and verdict is Verdict.ROTATE:
                pair, successor = self.tokens.issue(shown.user, shown.session.session_id, now)
                await transaction.sessions.rotate(shown.token, now, successor)
                return pair
            if shown is not None and verdict is Verdict.REUSED:
                await transaction.sessions.end(shown.session.session_id, now)
        # What follows fails, so the end of the session is committed by now. A session that ended before is announced
        # again: its first announcement may have failed.
        if shown is not None and verdict in (Verdict.REUSED, Verdict.ENDED):
            await self.ended_sessions.announce(str(shown.session.session_id))
        raise RefreshTokenReused if verdict is Verdict.REUSED else InvalidRefreshToken
