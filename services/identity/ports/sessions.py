"""What tells the house of sessions."""

from dataclasses import dataclass
from typing import Protocol

from services.identity.rules.sessions import TokenPair


class EndedSessions(Protocol):
    """Tells every service that sessions have ended, so that their access tokens are refused at once."""

    async def announce(self, session_id: str) -> None:
        """Announce one. Raises SessionCheckUnavailable when that cannot be done; doing it again does no harm."""

    async def contains(self, session_id: str) -> bool:
        """Return whether it was announced. Raises SessionCheckUnavailable when that cannot be told."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What is known of a refresh token that a client shows."""

    answer: TokenPair | None = None
    """What this client was answered when it showed the token some seconds ago."""
    is_first: bool = False
    """Whether nobody showed it some seconds ago: the next ones wait for what becomes of it."""


class RefreshAnswers(Protocol):
    """What clients were answered that refreshed some seconds ago. It may lose them; then there is no second answer."""

    async def claim(self, token: str, client: str) -> Claim:
        """Look a token up; waits while the same client refreshes with it elsewhere."""

    async def keep(self, token: str, client: str, pair: TokenPair) -> None:
        """Keep what the first one was answered. Only who shows the token can read it."""

    async def forget(self, token: str) -> None:
        """Forget a token that came to nothing."""
