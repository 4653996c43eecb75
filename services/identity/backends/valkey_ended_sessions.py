"""Ended sessions, announced in Valkey, where every service looks on every call."""

from redis.exceptions import RedisError

from services.chassis.errors import SessionCheckUnavailable
from services.chassis.revocations import RevokedSessions

# The verifiers' leeway, and a token that was signed while its session was being ended.
_MARGIN_SECONDS = 60


class ValkeyEndedSessions:
    """Implements the port EndedSessions."""

    def __init__(self, revoked: RevokedSessions, access_token_seconds: int) -> None:
        self._revoked = revoked
        self._seconds = access_token_seconds + _MARGIN_SECONDS

    async def announce(self, session_id: str) -> None:
        """See the port."""
        try:
            await self._revoked.add(session_id, self._seconds)
        except RedisError as error:
            raise SessionCheckUnavailable from error

    async def contains(self, session_id: str) -> bool:
        """See the port."""
        return await self._revoked.contains(session_id)
