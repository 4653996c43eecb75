"""Organisations: what is decided about them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from uuid import UUID

from services.chassis.errors import InvalidFields
from services.identity.errors import FieldNotUpdatable, MemberRoleTooLow
from services.identity.rules.users import User


@dataclass(frozen=True, slots=True)
class Organization:
    """People who belong together, such as a school. A user is a member of one at most."""

    organization_id: UUID
    name: str
    """Unique without regard to case."""
    description: str
    created_at: datetime


INVITATION_LIFETIME = timedelta(days=7)


class MemberRole(IntEnum):
    """What a member may do; a higher one may do what a lower one may."""

    MEMBER = 1
    ADMIN = 2
    OWNER = 3


@dataclass(frozen=True, slots=True)
class Member:
    """A user in an organisation."""

    user: User
    role: MemberRole


@dataclass(frozen=True, slots=True)
class Invitation:
    """An offer to become a member."""

    invitation_id: UUID
    organization_id: UUID
    email: str
    role: MemberRole
    created_at: datetime
    expires_at: datetime


def members_of(organization_id: UUID) -> str:
    """Return by which name changes of an organisation's members wait for each other."""
    return f"members/{organization_id}"


def membership_of(user_id: UUID) -> str:
    """Return by which name changes of where a user is a member wait for each other."""
    return f"membership/{user_id}"


def demand(role: MemberRole, needed: MemberRole) -> None:
    """Raise MemberRoleTooLow unless the caller's role is enough."""
    if role < needed:
        raise MemberRoleTooLow(needed=needed.name.lower())


def organization_changes(values: Mapping[str, str], mask: Sequence[str]) -> dict[str, str]:
    """Return what an update changes (AIP-134); an empty mask takes the values that are not empty.

    Raises:
        FieldNotUpdatable: the mask names something else than `name`, `description` or `*`.
        InvalidFields: the name would be empty.
    """
    for path in mask:
        if path not in (*values, "*"):
            raise FieldNotUpdatable(field=path)
    if not mask:
        return {name: value.strip() for name, value in values.items() if value.strip()}
    changes = {name: value.strip() for name, value in values.items() if "*" in mask or name in mask}
    if changes.get("name") == "":
        raise InvalidFields([("organization.name", "is required")])
    return changes
