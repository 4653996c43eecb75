"""What tells the house of sessions."""

from typing import Protocol


class EndedSessions(Protocol):
    """Tells every service that sessions have ended, so that their access tokens are refused at once."""

    async def announce(self, session_id: str) -> None:
        """Announce one. Raises SessionCheckUnavailable when that cannot be done; doing it again does no harm."""
