"""The organisations of a Keycloak realm."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import httpx

from services.identity.backends.keycloak_profile import Json
from services.identity.backends.keycloak_realm import KeycloakRealm
from services.identity.backends.keycloak_users import KeycloakUsers
from services.identity.errors import (
    AlreadyMember,
    DirectoryUnavailable,
    OrganizationNameTaken,
    OrganizationNotFound,
    UserNotFound,
)
from services.identity.ports.directory import Page
from services.identity.rules.organizations import Organization
from services.identity.rules.users import User

_CHUNK = 100
_CREATED = "created_at"


@dataclass(frozen=True, slots=True)
class KeycloakOrganizations:
    """Implements the port OrganizationDirectory."""

    realm: KeycloakRealm
    users: KeycloakUsers

    async def create(self, name: str, description: str) -> Organization:
        """See the port. The alias never changes, so it is not made of the name, which may."""
        await self._free(name, None)
        now = datetime.now(UTC)
        answer = await self.realm.post(
            "organizations",
            {
                "name": name,
                "alias": uuid4().hex,
                "enabled": True,
                "description": description,
                "attributes": {_CREATED: [now.isoformat()]},
            },
        )
        _refuse_name(answer, name)
        return Organization(UUID(answer.headers["location"].rpartition("/")[2]), name, description, now)

    async def get(self, organization_id: UUID) -> Organization | None:
        """See the port."""
        found = await self.realm.get(f"organizations/{organization_id}")
        return None if found is None else _organization(found)

    async def page(self, text: str, cursor: str, size: int) -> Page[Organization]:
        """See the port."""
        found: list[Organization] = []
        async for place, shown in self._walk("organizations", int(cursor or 0), {"search": text or None}):
            if text.casefold() not in shown["name"].casefold():
                continue
            if len(found) == size:
                return Page(found, str(place))
            found.append(_organization(shown))
        return Page(found)

    async def change(self, organization_id: UUID, changes: Mapping[str, str]) -> Organization | None:
        """See the port."""
        shown = await self.realm.get(f"organizations/{organization_id}")
        if shown is None:
            return None
        if "name" in changes:
            await self._free(changes["name"], organization_id)
        changed = shown | dict(changes)
        answer = await self.realm.put(f"organizations/{organization_id}", changed)
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        _refuse_name(answer, changed["name"])
        return _organization(changed)

    async def delete(self, organization_id: UUID) -> bool:
        """See the port."""
        return await self.realm.delete(f"organizations/{organization_id}")

    async def add_member(self, organization_id: UUID, user_id: UUID) -> None:
        """See the port."""
        if await self.realm.get(f"organizations/{organization_id}") is None:
            raise OrganizationNotFound(organization_id=organization_id)
        if await self.realm.get(f"users/{user_id}") is None:
            raise UserNotFound(user_id=user_id)
        joined = await self.realm.get(f"organizations/members/{user_id}/organizations") or []
        ids = [UUID(shown["id"]) for shown in joined]
        if organization_id in ids:
            return
        if ids:
            raise AlreadyMember
        answer = await self.realm.post(f"organizations/{organization_id}/members", str(user_id))
        # A conflict: somebody else was first to make the user a member of it.
        if not answer.is_success and answer.status_code != httpx.codes.CONFLICT:
            raise DirectoryUnavailable

    async def remove_member(self, organization_id: UUID, user_id: UUID) -> bool:
        """See the port."""
        return await self.realm.delete(f"organizations/{organization_id}/members/{user_id}")

    async def members(self, organization_id: UUID, cursor: str, size: int) -> Page[User]:
        """See the port."""
        found: list[Json] = []
        path = f"organizations/{organization_id}/members"
        async for place, shown in self._walk(path, int(cursor or 0), {}):
            if len(found) == size:
                return Page(await self.users.all_whole(found), str(place))
            found.append(shown)
        return Page(await self.users.all_whole(found))

    async def _free(self, name: str, but: UUID | None) -> None:
        """Raise OrganizationNameTaken when another one has the name in any case; Keycloak itself minds the case."""
        async for _, shown in self._walk("organizations", 0, {"search": name}):
            if shown["name"].casefold() == name.casefold() and shown["id"] != str(but):
                raise OrganizationNameTaken(name=name)

    async def _walk(self, path: str, start: int, query: Mapping[str, object]) -> AsyncIterator[tuple[int, Json]]:
        while True:
            chunk: Any = await self.realm.get(path, first=start, max=_CHUNK, briefRepresentation="false", **query)
            for offset, shown in enumerate(chunk or []):
                yield start + offset, shown
            if len(chunk or []) < _CHUNK:
                return
            start += _CHUNK


def _refuse_name(answer: httpx.Response, name: str) -> None:
    if answer.status_code == httpx.codes.CONFLICT:
        raise OrganizationNameTaken(name=name)
    if not answer.is_success:
        raise DirectoryUnavailable


def _organization(shown: Json) -> Organization:
    made = (shown.get("attributes") or {}).get(_CREATED) or ["1970-01-01T00:00:00+00:00"]
    return Organization(
        UUID(shown["id"]), shown["name"], shown.get("description") or "", datetime.fromisoformat(made[0])
    )
