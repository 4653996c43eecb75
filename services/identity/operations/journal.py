"""Keeping a journal: every change of an account becomes an audit event, stored with the change where it is ours."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from services.chassis import caller as callers
from services.chassis import logs
from services.chassis.errors import ServiceError, StoreUnavailable
from services.chassis.identifiers import new_id
from services.chassis.interceptors import client_address, request_id
from services.identity.ports.accounts import AuditLog
from services.identity.ports.work import Clock, Work
from services.identity.rules.accounts import AuditEvent

_log = logs.get(__name__)
_OK = "OK"
_LATE_SECONDS = 5.0


@dataclass(slots=True)
class Entry:
    """What is known of a change by now; the operation adds what it learns. Never a secret."""

    subject_id: str = ""
    actor_id: str = ""
    details: dict[str, str] = field(default_factory=dict)


class Journal:
    """Records changes. With a directory that is not ours, what could not be stored is stored later."""

    def __init__(self, work: Work, audit: AuditLog, clock: Clock, *, directory_is_ours: bool) -> None:
        self._work = work
        self._audit = audit
        self._clock = clock
        self._directory_is_ours = directory_is_ours
        self._late: list[AuditEvent] = []

    @asynccontextmanager
    async def recording(
        self, action: str, subject_id: str = "", *, alone: Sequence[str] = (), **details: str
    ) -> AsyncIterator[Entry]:
        """Hold what the block changes and the event that tells of it together; a refusal is recorded by reason.

        `alone` names what no other block may change at the same time (see Work.alone), always in the same order.
        """
        entry = Entry(subject_id, callers.current().user_id, dict(details))
        done: AuditEvent | None = None
        try:
            async with self._work.together():
                for name in alone:
                    await self._work.alone(name)
                yield entry
                done = self._event(action, entry, _OK)
                await self._audit.add(done)
        except StoreUnavailable:
            # Our own changes are undone. Those of another directory are not, so their event must not be lost.
            if done is not None and not self._directory_is_ours:
                _log.error("audit event not stored yet", action=action, subject_id=entry.subject_id)
                self._late.append(done)
            raise
        except ServiceError as refusal:
            await self._audit.add(self._event(action, entry, refusal.reason))
            raise

    async def keep_storing(self) -> None:
        """Store what could not be stored when it happened, for ever."""
        while True:
            await self.store_late()
            await asyncio.sleep(_LATE_SECONDS)

    async def store_late(self) -> None:
        """Store what could not be stored when it happened. Raises StoreUnavailable when it still cannot be."""
        while self._late:
            await self._audit.add(self._late[0])
            del self._late[0]

    def _event(self, action: str, entry: Entry, outcome: str) -> AuditEvent:
        caller = callers.current()
        details = entry.details | ({"api_key_id": caller.api_key_id} if caller.api_key_id else {})
        return AuditEvent(
            event_id=new_id(),
            at=self._clock(),
            actor_id=entry.actor_id,
            action=action,
            subject_id=entry.subject_id,
            address=client_address.current(),
            request_id=request_id.current.get(),
            outcome=outcome,
            details=details,
        )
