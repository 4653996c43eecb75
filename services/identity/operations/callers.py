"""The caller's own user."""

from uuid import UUID

from services.chassis.errors import Unauthenticated


def caller_id(user_id: str) -> UUID:
    """Return the id of a caller's user. Raises Unauthenticated when no directory of ours would give such an id."""
    try:
        return UUID(user_id)
    except ValueError as error:
        # A token of another issuer may name its users otherwise.
        raise Unauthenticated(cause="the user is gone") from error
