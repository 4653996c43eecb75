"""Reading the audit events."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from services.chassis.pagination import PageTokens, page_size
from services.identity.ports.accounts import AuditLog
from services.identity.rules.accounts import AuditEvent, AuditQuery


@dataclass(frozen=True, slots=True)
class ListAuditEvents:
    """Reads audit events."""

    audit: AuditLog
    page_tokens: PageTokens

    async def page(self, query: AuditQuery, size: int, token: str) -> tuple[Sequence[AuditEvent], str]:
        """Return a page of the events that the query chooses, the last first, and the token of the next one."""
        name = f"audit/{query}"
        last = self.page_tokens.read(name, token)
        size = page_size(size)
        found = await self.audit.page(query, UUID(last) if last else None, size + 1)
        more = len(found) > size
        return found[:size], self.page_tokens.sign(name, str(found[size - 1].event_id)) if more else ""
