"""Who we are at PostgreSQL: fixed, or a short-lived user that Vault makes for us and takes away."""

import asyncio
import contextlib

from hvac.exceptions import VaultError

from services.chassis import logs
from services.chassis.database import Credentials
from services.chassis.secrets import SecretsUnavailable
from services.chassis.supervision import keep_running
from services.chassis.vault import VaultSession

_log = logs.get(__name__)
_RENEW_AT = 2 / 3
# A renewal that gives less than this part of a whole lease nears the lease's end: then new credentials are due.
_WORTH_RENEWING = 0.7


class VaultCredentials:
    """Leases a user of PostgreSQL, renews the lease, and leases the next user before the lease ends."""

    def __init__(self, session: VaultSession, role: str) -> None:
        self._session = session
        self._role = role
        self._current: Credentials | None = None
        self._lease_id = ""
        self._lease_seconds = 0.0
        self._logins = 0

    def current(self) -> Credentials:
        """Return the user to connect as now. `begin` must have ended."""
        assert self._current is not None, "begin() comes first"  # noqa: S101 - a mistake of ours
        return self._current

    async def begin(self) -> None:
        """Lease the first user. Raises SecretsUnavailable; hvac's VaultError when the role may not."""
        answer = await self._session.call(lambda client: client.secrets.database.generate_credentials(self._role))
        generation = self._current.generation + 1 if self._current else 1
        self._lease_id, self._lease_seconds = answer["lease_id"], float(answer["lease_duration"])
        # What a login leased ends with its token.
        self._logins = self._session.generation
        self._current = Credentials(answer["data"]["username"], answer["data"]["password"], generation)
        _log.info("leased a database user", seconds=self._lease_seconds, generation=generation)

    async def keep(self) -> None:
        """Renew or replace for ever."""
        if self._current is None or self._logins != self._session.generation:
            await self.begin()
            left = self._lease_seconds
        else:
            # Begun again after a failure: how much is left, nobody knows.
            left = await self._renewed()
        while True:
            await self._until_due(left * _RENEW_AT)
            left = await self._renewed()

    async def _until_due(self, seconds: float) -> None:
        """Wait, but not longer than the login lives that the lease belongs to."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._session.login_after(self._logins)

    async def _renewed(self) -> float:
        if self._logins == self._session.generation:
            try:
                answer = await self._session.call(lambda client: client.sys.renew_lease(self._lease_id))
                if float(answer["lease_duration"]) >= self._lease_seconds * _WORTH_RENEWING:
                    return float(answer["lease_duration"])
            except SecretsUnavailable:
                raise
            except VaultError as error:
                _log.warning("a lease cannot be renewed", error=type(error).__name__)
        await self.begin()
        return self._lease_seconds


async def keep_credentials(credentials: VaultCredentials) -> None:
    """Keep the credentials good until cancelled, also while Vault is away."""
    await keep_running("database-credentials", credentials.keep)
