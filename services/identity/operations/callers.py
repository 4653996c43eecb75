"""Whose account it is: the caller's own, or the one that a login names."""

from uuid import UUID

from services.chassis.errors import Unauthenticated
from services.identity.ports.directory import UserDirectory
from services.identity.rules.identifiers import canonical_login


def caller_id(user_id: str) -> UUID:
    """Return the id of a caller's user. Raises Unauthenticated when no directory of ours would give such an id."""
    try:
        return UUID(user_id)
    except ValueError as error:
        # A token of another issuer may name its users otherwise.
        raise Unauthenticated(cause="the user is gone") from error


async def account_of(users: UserDirectory, login: str) -> tuple[UUID | None, str]:
    """Return the user whom a login names, if there is one, and by what limits and codes name the account.

    That is the user's id, so that one account is one however it is spelled; for nobody it is the canonical form.
    """
    user_id = await users.find(login)
    return user_id, canonical_login(login) if user_id is None else str(user_id)
