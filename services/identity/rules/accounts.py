"""Codes, mails, API keys and audit events: what they are and what is decided about them."""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from uuid import UUID

CODE_LIFETIME = timedelta(minutes=10)
CODE_DIGITS = 8
CODE_TRIES = 5
"""So a code is guessed with one chance in twenty million."""

MAIL_QUEUE = "identity_mail"
"""The queue and the job of mails to be written; its jobs hold no code."""

API_KEY_PREFIX = "pk_"
API_KEY_DAYS = 90
ROTATION_OVERLAP = timedelta(days=1)
LAST_USE_PRECISION = timedelta(minutes=1)


class Purpose(Enum):
    """What a code is good for."""

    VERIFY_EMAIL = "verify-email"
    RESET_PASSWORD = "reset-password"  # noqa: S105 - no password


def code_hash(secret: str, purpose: Purpose, account: str, code: str) -> str:
    """Return as what a code is kept: few digits need a key, or whoever reads the hash tries them all."""
    text = f"{purpose.value}\n{account}\n{code.strip()}"
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail to one person. Its text may hold a code."""

    to: str
    subject: str
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """Something that was done, or tried, to an account."""

    event_id: UUID
    at: datetime
    actor_id: str
    action: str
    subject_id: str
    address: str
    request_id: str
    outcome: str
    details: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class AuditQuery:
    """Which audit events a list shows; what is empty chooses nothing."""

    actor_id: str = ""
    subject_id: str = ""
    action: str = ""
    since: datetime | None = None
    before: datetime | None = None


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key with which a program calls in its user's name; the key itself is known to its holder only."""

    api_key_id: UUID
    user_id: UUID
    name: str
    prefix: str
    scopes: frozenset[str]
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None

    def is_good(self, now: datetime) -> bool:
        """Return whether it lets anybody in."""
        return self.revoked_at is None and now < self.expires_at


def keys_of(user_id: UUID) -> str:
    """Return by which name it is settled whether a key was made before all keys of its user ended, or not at all."""
    return f"API keys of {user_id}"


def rotated_expiry(old: ApiKey, now: datetime, overlap: timedelta) -> datetime:
    """Return until when a key is good after another took its place: never longer than before."""
    return min(old.expires_at, now + (overlap or ROTATION_OVERLAP))


def unknown_scopes(wanted: Sequence[str], known: frozenset[str]) -> list[str]:
    """Return the scopes that no RPC asks for."""
    return sorted(set(wanted) - known)
