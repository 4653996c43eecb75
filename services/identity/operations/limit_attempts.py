"""Limiting how often passwords and codes are tried: for each account and for each network address."""

import math
from dataclasses import dataclass
from uuid import UUID

from services.chassis.interceptors import client_address
from services.identity.errors import TooManyAttempts
from services.identity.ports.accounts import Attempts, Limit
from services.identity.rules.clients import network_of
from services.identity.rules.identifiers import canonical_login


@dataclass(frozen=True, slots=True)
class LimitAttempts:
    """Refuses what is tried too often. A try is counted before it is made, so that many at once do not slip through."""

    attempts: Attempts
    per_address: Limit
    per_account: Limit
    mails: Limit
    """Of mails to one e-mail address."""
    mails_asked_for: Limit
    """Of mails that one network address asks for, to whomever they go."""
    invitations: Limit
    """Of one sender."""
    invitations_of_organization: Limit

    async def of_address(self) -> None:
        """Count a try of this RPC's client. Raises TooManyAttempts, AttemptsNotCounted."""
        if address := client_address.current():
            await self._add(f"address:{network_of(address)}", self.per_address)

    async def of_account(self, account: str) -> None:
        """Count a try for an account (see `account_of`). Raises TooManyAttempts, AttemptsNotCounted."""
        await self._add(f"account:{account}", self.per_account)

    async def passed(self, account: str) -> None:
        """Begin to count anew for an account: somebody knew the password. Raises AttemptsNotCounted."""
        await self.attempts.forget(f"account:{account}")

    async def of_mails(self, email: str) -> None:
        """Count a mail to an address, whether anybody has it or not. Raises TooManyAttempts, AttemptsNotCounted."""
        await self._add(f"mail:{canonical_login(email)}", self.mails)

    async def of_mails_asked_for(self) -> None:
        """Count a mail that this RPC's client asks for. Raises TooManyAttempts, AttemptsNotCounted."""
        if address := client_address.current():
            await self._add(f"mails-asked-for:{network_of(address)}", self.mails_asked_for)

    async def of_invitations(self, user_id: str, organization_id: UUID) -> None:
        """Count an invitation for its sender and the organisation. Raises TooManyAttempts, AttemptsNotCounted."""
        await self._add(f"invitations:{user_id}", self.invitations)
        await self._add(f"invitations-of:{organization_id}", self.invitations_of_organization)

    async def _add(self, bucket: str, limit: Limit) -> None:
        if wait := await self.attempts.add(bucket, limit):
            raise TooManyAttempts(seconds=math.ceil(wait))
