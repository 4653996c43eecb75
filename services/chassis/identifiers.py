"""Ids: new ones, and those in requests."""

from uuid import UUID

import uuid_utils.compat


def new_id() -> UUID:
    """Return a UUIDv7 (RFC 9562): ids made later sort later."""
    return uuid_utils.compat.uuid7()


def optional_id(text: str) -> UUID | None:
    """Return the id in `text`, None when it is empty."""
    return UUID(text) if text else None
