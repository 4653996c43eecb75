"""New ids."""

from uuid import UUID

import uuid_utils.compat


def new_id() -> UUID:
    """Return a UUIDv7 (RFC 9562): ids made later sort later."""
    return uuid_utils.compat.uuid7()
