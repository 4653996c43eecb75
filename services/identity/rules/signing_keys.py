"""Signing keys: when they come and go. Time is an argument."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key pair that signs access tokens. Numbers rise by one; a later key signs later."""

    number: int
    key_id: str
    signs_from: datetime
    private_pem: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class KeySchedule:
    """When keys come and go."""

    rotation: timedelta
    """For how long a key signs."""
    publish_ahead: timedelta
    """For how long a key is published before it signs, so that every verifier has it by then."""
    kept_after: timedelta
    """For how long a key that signs no more stays published: until its last access token has expired."""


def in_order(keys: Sequence[SigningKey]) -> list[SigningKey]:
    """Return the keys in the order in which they sign."""
    return sorted(keys, key=lambda key: key.number)


def signing_key(keys: Sequence[SigningKey], now: datetime) -> SigningKey:
    """Return the key that signs now: the last one whose time has come, else the first. There must be one."""
    ordered = in_order(keys)
    begun = [key for key in ordered if key.signs_from <= now]
    return begun[-1] if begun else ordered[0]


def published_keys(keys: Sequence[SigningKey], schedule: KeySchedule, now: datetime) -> list[SigningKey]:
    """Return the keys that verifiers must know: the next one, the signing one, and those with live tokens."""
    ordered = in_order(keys)
    needed = [older for older, newer in pairwise(ordered) if now < newer.signs_from + schedule.kept_after]
    return [*needed, *ordered[-1:]]


def next_signs_from(keys: Sequence[SigningKey], schedule: KeySchedule, now: datetime) -> datetime | None:
    """Return from when on a new key has to sign, when one is due; None when none is. The very first signs at once."""
    if not keys:
        return now
    newest = in_order(keys)[-1]
    if now + schedule.publish_ahead < newest.signs_from + schedule.rotation:
        return None
    return now + schedule.publish_ahead


def next_number(keys: Sequence[SigningKey]) -> int:
    """Return the number of the next key."""
    return max((key.number for key in keys), default=0) + 1
