"""What surrounds the directory and is ours whichever backend it has: codes, mails, limits, audit, keys, invitations."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from services.identity.rules.accounts import ApiKey, AuditEvent, AuditQuery, Mail, Purpose
from services.identity.rules.notices import Notice
from services.identity.rules.organizations import Invitation, MemberRole


class Codes(Protocol):
    """Codes that were sent by mail; single use, ten minutes, few tries. `account` is a user's id."""

    async def make(self, purpose: Purpose, account: str) -> str:
        """Return a new code; an older one for the same is good no more. Raises AttemptsNotCounted."""

    async def take(self, purpose: Purpose, account: str, code: str) -> bool:
        """Return whether it is the code, which then is used up. Wrong ones are counted; too many end the code.

        Raises AttemptsNotCounted.
        """


class Mailer(Protocol):
    """Sends mail."""

    async def send(self, mail: Mail) -> None:
        """Hand a mail over; raises when it was not taken."""


class MailQueue(Protocol):
    """Mails to be written and sent after the answer. Nothing that was accepted is lost."""

    async def code(self, purpose: Purpose, email: str) -> None:
        """Have a code sent to who has the address, in its canonical form, if that user may have one."""

    async def invitation(self, invitation_id: UUID) -> None:
        """Have an invitation sent."""

    async def notice(self, notice: Notice) -> None:
        """Have a notice sent to its user, as a part of the work at hand."""


class Notices(Protocol):
    """Tells users of what happened, by event: whoever delivers notices listens."""

    async def tell(self, notice: Notice) -> None:
        """Tell, as a part of the work at hand."""


class HandledEvents(Protocol):
    """Which events were dealt with: a bus may bring one twice."""

    async def is_first(self, consumer: str, event_id: UUID) -> bool:
        """Note that a consumer deals with an event, as a part of the work at hand; False when it did so before."""


@dataclass(frozen=True, slots=True)
class Limit:
    """At most so many within a time."""

    count: int
    seconds: int


class Attempts(Protocol):
    """Counts what is tried."""

    async def add(self, bucket: str, limit: Limit) -> float:
        """Count one try and return 0 when it is within the limit, else after how many seconds to try again.

        Raises AttemptsNotCounted.
        """

    async def forget(self, bucket: str) -> None:
        """Begin to count anew. Raises AttemptsNotCounted."""


class AuditLog(Protocol):
    """Audit events; they are never changed or deleted."""

    async def add(self, event: AuditEvent) -> None:
        """Store an event, as a part of the work at hand."""

    async def page(self, query: AuditQuery, before: UUID | None, size: int) -> list[AuditEvent]:
        """Return at most `size` events that the query chooses, the last first."""


class Requests(Protocol):
    """What repeated requests made the first time."""

    async def made(self, user_id: str, request_id: UUID, content: str) -> UUID | None:
        """Return what the request made before; None when it is new. Raises RequestIdReused for another content."""

    async def add(self, user_id: str, request_id: UUID, content: str, made_id: UUID) -> None:
        """Remember what a request made. Raises RequestInProgress when it came twice at once; roll back then."""


class MemberRoles(Protocol):
    """What members may do. Who is one, the directory knows; who has no role here is a plain member."""

    async def of(self, organization_id: UUID, user_ids: Sequence[UUID]) -> dict[UUID, MemberRole]:
        """Return the roles of users that are more than plain members."""

    async def owners(self, organization_id: UUID) -> set[UUID]:
        """Return the owners; some of them may be members no more."""

    async def set(self, organization_id: UUID, user_id: UUID, role: MemberRole) -> None:
        """Give a role."""

    async def forget(self, organization_id: UUID, user_id: UUID | None = None) -> None:
        """Forget the role of one user, or all of an organisation."""


class Invitations(Protocol):
    """Invitations. Open is one that is neither closed nor expired."""

    async def add(self, invitation: Invitation) -> None:
        """Store an invitation, for which no token is made yet."""

    async def get(self, invitation_id: UUID, now: datetime) -> Invitation | None:
        """Return an open one."""

    async def by_token(self, token_hash: bytes, now: datetime) -> Invitation | None:
        """Return the open one with this token."""

    async def page(self, organization_id: UUID, after: UUID | None, size: int, now: datetime) -> list[Invitation]:
        """Return at most `size` open ones of an organisation, in the order of their ids."""

    async def set_token(self, invitation_id: UUID, token_hash: bytes) -> None:
        """Replace the token."""

    async def close(self, invitation_id: UUID, organization_id: UUID, at: datetime) -> bool:
        """Close an open one; False when there is none."""

    async def forget(self, organization_id: UUID) -> None:
        """Delete all of an organisation."""


class ApiKeys(Protocol):
    """API keys."""

    async def add(self, key: ApiKey, key_hash: bytes) -> None:
        """Store a new key."""

    async def get(self, api_key_id: UUID, user_id: UUID) -> ApiKey | None:
        """Return a key of a user, whatever its state; as a part of the work at hand nobody else changes it."""

    async def by_hash(self, key_hash: bytes) -> ApiKey | None:
        """Return the key with this hash."""

    async def page(self, user_id: UUID, before: UUID | None, size: int, now: datetime) -> list[ApiKey]:
        """Return at most `size` good keys of a user, the newest first."""

    async def expire(self, api_key_id: UUID, at: datetime) -> None:
        """Let a key be good until `at` only."""

    async def revoke(self, api_key_id: UUID, at: datetime) -> None:
        """End a key."""

    async def revoke_all(self, user_id: UUID, at: datetime) -> list[UUID]:
        """End all keys of a user that are good and return which ones."""

    async def used(self, api_key_id: UUID, at: datetime) -> None:
        """Note when a key was used."""
