"""Hold secrets against where they may be sent and for whom, and hand them out."""

from collections.abc import Sequence
from dataclasses import dataclass

from services.chassis.errors import MembershipCheckUnavailable
from services.chassis.owners import organization_in
from services.tools.errors import SecretNotAllowed
from services.tools.ports import CallFailed, Members, Secrets, Transactions
from services.tools.rules import SecretHeader, Source
from services.tools.rules.secrets import ToolSecret, destination_of, refused, refused_to


@dataclass(frozen=True, slots=True)
class SendSecrets:
    """The one way from a secret to a request. What is asked here is asked again with every call."""

    transactions: Transactions
    store: Secrets
    members: Members

    async def check(self, owner: str, wanted: Sequence[SecretHeader], source: Source) -> None:
        """Raise SecretNotAllowed when one of the owner's secrets may not be sent where a source leads."""
        await self._allowed(owner, wanted, source)

    async def headers(self, owner: str, user_id: str, wanted: Sequence[SecretHeader], source: Source) -> dict[str, str]:
        """Return the headers with their secrets, for a call of a user.

        Raises CallFailed when one may not be sent there or not for the user, is not set or cannot be had.
        """
        try:
            for secret in await self._allowed(owner, wanted, source):
                await self._check_user(owner, secret, user_id)
        except SecretNotAllowed as refusal:
            raise CallFailed(refusal.reason, refusal.message.partition(": ")[2], done=False) from None
        return await self.store.headers(owner, wanted)

    async def _allowed(self, owner: str, wanted: Sequence[SecretHeader], source: Source) -> list[ToolSecret]:
        to = destination_of(source)
        if not wanted or to is None:
            return []
        names = sorted({one.secret for one in wanted})
        async with self.transactions.read() as tx:
            found = await tx.secrets.several(names, owner)
        for name in names:
            if why := refused(found.get(name), to):
                raise SecretNotAllowed(secret=name, cause=why)
        return list(found.values())

    async def _check_user(self, owner: str, secret: ToolSecret, user_id: str) -> None:
        if refused_to(secret, user_id):
            raise SecretNotAllowed(secret=secret.name, cause="it is not for this user")
        organization_id = organization_in(owner)
        if not secret.organization_role or not organization_id:
            return
        try:
            role = await self.members.role_of(organization_id, user_id)
        except MembershipCheckUnavailable:
            raise SecretNotAllowed(secret=secret.name, cause="the user's role cannot be told now") from None
        if role < secret.organization_role:
            raise SecretNotAllowed(secret=secret.name, cause="it needs another role in the organization")
