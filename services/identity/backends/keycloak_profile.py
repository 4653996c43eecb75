"""Keycloak's representation of a user to ours and back."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from services.chassis.shortening import shortened
from services.identity.rules.users import GRANTABLE_ROLES, PROFILE_DEFAULTS, ROLE_USER, User

Json = dict[str, Any]
_ROLES = GRANTABLE_ROLES | {ROLE_USER}
# What Keycloak's validator of names refuses.
_NOT_IN_NAMES = re.compile(r"[<>&\"\v$%!#?§;*~/\\|^=\[\]{}()\x00-\x1f\x7f]")


def user_of(shown: Json, roles: Sequence[Json], organizations: Sequence[Json]) -> User:
    """Return the user; `roles` and `organizations` are what Keycloak keeps apart. It keeps no time of a change."""
    attributes: Mapping[str, list[str]] = shown.get("attributes") or {}
    profile = {name: (attributes.get(name) or [default])[0] for name, default in PROFILE_DEFAULTS.items()}
    created_at = moment(shown["createdTimestamp"])
    return User(
        user_id=UUID(shown["id"]),
        email=shown.get("email", ""),
        username=shown["username"],
        display_name=profile["display_name"] or shown["username"],
        avatar_url=profile["avatar_url"],
        native_language=profile["native_language"],
        target_language=profile["target_language"],
        level=profile["level"],
        roles=frozenset(role["name"] for role in roles) & _ROLES,
        is_active=bool(shown["enabled"]),
        organization_id=UUID(organizations[0]["id"]) if organizations else None,
        created_at=created_at,
        updated_at=created_at,
        email_verified=bool(shown.get("emailVerified")),
    )


def attributes_of(profile: Mapping[str, str]) -> dict[str, list[str]]:
    """Return fields of a profile as Keycloak's attributes; an empty one is none."""
    return {name: [value] if value else [] for name, value in profile.items()}


def first_name(display_name: str) -> str:
    """Return the name under which Keycloak's console shows and finds somebody."""
    return shortened(_NOT_IN_NAMES.sub("", display_name), 255)


def is_person(shown: Json) -> bool:
    """Whether it is somebody, not the account of a service."""
    return not shown.get("serviceAccountClientId") and not shown.get("username", "").startswith("service-account-")


def moment(milliseconds: int) -> datetime:
    """Return a time of Keycloak's."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
