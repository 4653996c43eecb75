"""Reading the audit events."""

from collections.abc import Sequence
from dataclasses import dataclass

from services.chassis.pagination import PageTokens
from services.identity.ports.accounts import AuditLog
from services.identity.rules.accounts import AuditEvent, AuditQuery


@dataclass(frozen=True, slots=True)
class ListAuditEvents:
    """Reads audit events."""

    audit: AuditLog
    page_tokens: PageTokens

    async def page(self, query: AuditQuery, size: int, token: str) -> tuple[Sequence[AuditEvent], str]:
        """Return a page of the events that the query chooses, the last first, and the token of the next one."""
        asked = self.page_tokens.asked(f"audit/{query}", size, token)
        found = await self.audit.page(query, asked.last_id, asked.count)
        return asked.of(found, lambda one: one.event_id)
