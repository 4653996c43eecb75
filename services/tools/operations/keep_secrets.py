"""Say where secrets may be sent, list that, and take it back."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from services.chassis import logs
from services.chassis.etags import check_etag
from services.chassis.owners import Who
from services.chassis.pagination import PageTokens
from services.tools.errors import EtagMismatch, SecretNotFound
from services.tools.ports import Transactions
from services.tools.rules.secrets import ToolSecret, check_secret

_log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class KeepSecrets:
    """The operations on where secrets go. Every one acts for an owner; another owner's secret is not found."""

    transactions: Transactions
    page_tokens: PageTokens

    async def put(self, who: Who, wanted: ToolSecret, etag: str) -> ToolSecret:
        """Store where a secret may be sent, and return it.

        Raises:
            InvalidFields: it cannot be stored.
            EtagMismatch: it has changed since `etag`, or is not there any more.
        """
        check_secret(wanted)
        now = datetime.now(UTC)
        async with self.transactions.begin() as tx:
            before = await tx.secrets.get(wanted.name, who.owner, lock=True)
            check_etag(before.revision if before else 0, etag, EtagMismatch)
            stored = replace(
                wanted,
                revision=before.revision + 1 if before else 1,
                created_at=before.created_at if before else now,
                updated_at=now,
            )
            await tx.secrets.put(stored, who.owner)
        _log.info(
            "a secret may be sent", secret=wanted.name, owner=who.owner, hosts=wanted.hosts, changed_by=who.user_id
        )
        return stored

    async def page(self, who: Who, size: int, token: str) -> tuple[Sequence[ToolSecret], str]:
        """Return a page of what the owner has, in the order of the names, and the token of the next one."""
        asked = self.page_tokens.asked(f"secrets/{who.owner}", size, token)
        async with self.transactions.read() as tx:
            found = await tx.secrets.page(who.owner, asked.last, asked.count)
        return asked.of(found, lambda one: one.name)

    async def get(self, who: Who, name: str) -> ToolSecret:
        """Return one. Raises SecretNotFound."""
        async with self.transactions.read() as tx:
            found = await tx.secrets.get(name, who.owner)
        if found is None:
            raise SecretNotFound(name=name)
        return found

    async def delete(self, who: Who, name: str) -> None:
        """Let a secret be sent nowhere any more. Raises SecretNotFound."""
        async with self.transactions.begin() as tx:
            if not await tx.secrets.delete(name, who.owner):
                raise SecretNotFound(name=name)
        _log.info("a secret may not be sent any more", secret=name, owner=who.owner, changed_by=who.user_id)
