"""The users of a Keycloak realm."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx

from services.identity.backends.keycloak_profile import Json, attributes_of, first_name, is_person, user_of
from services.identity.backends.keycloak_realm import KeycloakRealm, Refusal, refuse_email, refuse_password
from services.identity.errors import EmailTaken, UsernameTaken, UserNotFound
from services.identity.ports.directory import Page
from services.identity.rules.identifiers import (
    canonical_email,
    canonical_login,
    canonical_username,
    username_skeleton,
)
from services.identity.rules.users import PROFILE_DEFAULTS, ROLE_USER, NewUser, User, UserQuery, composed

_CHUNK = 100
# With attributes Keycloak takes a field of the profile that is missing for one to be emptied.
_OF_PROFILE = ("username", "email", "lastName")
_SKELETON = "username_skeleton"


@dataclass(frozen=True, slots=True)
class KeycloakUsers:
    """Implements the port UserDirectory."""

    realm: KeycloakRealm

    async def create(self, new: NewUser) -> User:
        """See the port."""
        profile = {**PROFILE_DEFAULTS, "display_name": new.display_name.strip() or new.username}
        # Keycloak has a rule of its own for what is the same, and gets what that rule leaves as it is.
        email, username = canonical_email(new.email), canonical_username(new.username)
        # Of a taken address, or this very username, Keycloak tells by itself, and better.
        if (
            await self._looks_taken(username)
            and await self._id(username=username) is None
            and await self._id(email=email) is None
        ):
            raise UsernameTaken(username=new.username)
        answer = await self.realm.post(
            "users",
            {
                "username": username,
                "email": email,
                "firstName": first_name(profile["display_name"]),
                "enabled": True,
                "emailVerified": False,
                "attributes": attributes_of({**profile, _SKELETON: username_skeleton(username)}),
                "credentials": [{"type": "password", "value": composed(new.password), "temporary": False}],
            },
        )
        if answer.status_code == httpx.codes.CONFLICT:
            taken = str(answer.json().get("errorMessage", ""))
            raise EmailTaken(email=new.email) if "email" in taken else UsernameTaken(username=new.username)
        refuse_email(answer)
        refuse_password(answer)
        user_id = UUID(answer.headers["location"].rpartition("/")[2])
        for role in sorted(new.roles):
            await self.grant_role(user_id, role)
        made = await self.get(user_id)
        if made is None:
            raise UserNotFound(user_id=user_id)
        return made

    async def find(self, login: str) -> UUID | None:
        """See the port."""
        form = canonical_login(login)
        return await self._id(email=form) if "@" in form else await self._id(username=form)

    async def get(self, user_id: UUID) -> User | None:
        """See the port."""
        found = await self.realm.get(f"users/{user_id}")
        return None if found is None else await self.whole(found)

    async def by_email(self, email: str) -> User | None:
        """See the port."""
        return await self._one(email=canonical_login(email))

    async def by_username(self, username: str) -> User | None:
        """See the port."""
        return await self._one(username=canonical_login(username))

    async def page(self, query: UserQuery, cursor: str, size: int) -> Page[User]:
        """See the port. Keycloak counts from the start of its list: a cursor is the place where to go on."""
        path = f"roles/{query.role}/users" if query.role and query.role != ROLE_USER else "users"
        search = {"search": f"*{query.text}*" if query.text else None, "enabled": _word(query.is_active)}
        found: list[Json] = []
        async for place, shown in self.walk(path, int(cursor or 0), search if path == "users" else {}):
            if not _chosen(shown, query):
                continue
            if len(found) == size:
                return Page(await self.all_whole(found), str(place))
            found.append(shown)
        return Page(await self.all_whole(found))

    async def change_profile(self, user_id: UUID, changes: Mapping[str, str]) -> User | None:
        """See the port."""

        def change(shown: Json) -> Json:
            attributes = shown.get("attributes", {}) | attributes_of(changes)
            name = attributes.get("display_name", [""])[0]
            kept = {name: shown[name] for name in _OF_PROFILE if name in shown}
            return kept | {"attributes": attributes, "firstName": first_name(name)}

        return await self._change(user_id, change)

    async def password_matches(self, user_id: UUID, password: str) -> bool:
        """See the port. Keycloak tells only who asks for a token: the session that begins with it ends at once."""
        found = await self.realm.get(f"users/{user_id}")
        username = found["username"] if found else f"nobody-{uuid.uuid4()}"
        form = {"grant_type": "password", "username": username, "password": composed(password)}
        try:
            tokens = await self.realm.token(form)
        except Refusal:
            return False
        await self.realm.delete(f"sessions/{tokens['session_state']}")
        return True

    async def set_password(self, user_id: UUID, password: str) -> None:
        """See the port."""
        credential = {"type": "password", "value": composed(password), "temporary": False}
        answer = await self.realm.put(f"users/{user_id}/reset-password", credential)
        if answer.status_code == httpx.codes.NOT_FOUND:
            raise UserNotFound(user_id=user_id)
        refuse_password(answer)

    async def verify_email(self, user_id: UUID) -> User | None:
        """See the port."""
        return await self._change(user_id, lambda _: {"emailVerified": True})

    async def replace_unverified(self, user_id: UUID, new: NewUser) -> User:
        """See the port. Keycloak has no transactions: what it may refuse is tried before the address is free.

        The old user keeps the username, which our realm lets nobody change.
        """
        old = await self.get(user_id)
        if old is None or not old.is_active or old.email_verified:
            raise UserNotFound(user_id=user_id)
        username = canonical_username(new.username)
        if await self._id(username=username) is not None or await self._looks_taken(username):
            raise UsernameTaken(username=new.username)
        # Whether the policy takes the password. Nobody signs in with it: the user is disabled next.
        await self.set_password(user_id, new.password)
        await self._change(user_id, lambda shown: shown | {"enabled": False, "email": ""})
        made = await self.create(new)
        return await self.verify_email(made.user_id) or made

    async def set_active(self, user_id: UUID, *, is_active: bool) -> User | None:
        """See the port."""
        return await self._change(user_id, lambda _: {"enabled": is_active})

    async def grant_role(self, user_id: UUID, role: str) -> User | None:
        """See the port."""
        granted = await self.realm.post(f"users/{user_id}/role-mappings/realm", [await self.realm.get(f"roles/{role}")])
        return await self.get(user_id) if granted.is_success else None

    async def revoke_role(self, user_id: UUID, role: str) -> User | None:
        """See the port."""
        path = f"users/{user_id}/role-mappings/realm"
        revoked = await self.realm.delete(path, [await self.realm.get(f"roles/{role}")])
        return await self.get(user_id) if revoked else None

    async def whole(self, shown: Json) -> User:
        """Return a user of Keycloak with its roles and its organisation, which Keycloak keeps apart."""
        user_id = shown["id"]
        roles, organizations = await asyncio.gather(
            self.realm.get(f"users/{user_id}/role-mappings/realm/composite"),
            self.realm.get(f"organizations/members/{user_id}/organizations"),
        )
        return user_of(shown, roles or [], organizations or [])

    async def all_whole(self, shown: list[Json]) -> list[User]:
        """Return users of Keycloak with their roles and organisations."""
        return list(await asyncio.gather(*map(self.whole, shown)))

    async def walk(self, path: str, start: int, query: Mapping[str, object]) -> AsyncIterator[tuple[int, Json]]:
        """Yield the entries of a list of people with their places, from a place on."""
        while True:
            chunk = await self.realm.get(path, first=start, max=_CHUNK, briefRepresentation="false", **query) or []
            for offset, shown in enumerate(chunk):
                if is_person(shown):
                    yield start + offset, shown
            if len(chunk) < _CHUNK:
                return
            start += _CHUNK

    async def _looks_taken(self, username: str) -> bool:
        return bool(await self.realm.get("users", q=f"{_SKELETON}:{username_skeleton(username)}", max=1))

    async def _one(self, **names: str) -> User | None:
        found = await self._found(**names)
        return None if found is None else await self.whole(found)

    async def _id(self, **names: str) -> UUID | None:
        found = await self._found(**names)
        return None if found is None else UUID(found["id"])

    async def _found(self, **names: str) -> Json | None:
        found: list[Json] = await self.realm.get("users", exact="true", briefRepresentation="false", **names)
        return found[0] if found and is_person(found[0]) else None

    async def _change(self, user_id: UUID, change: Callable[[Json], Json]) -> User | None:
        shown: Any = await self.realm.get(f"users/{user_id}")
        if shown is None:
            return None
        # Only what is changed: what was read may be outdated, and would undo what others have changed since.
        answer = await self.realm.put(f"users/{user_id}", change(shown))
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        refuse_password(answer)
        return await self.get(user_id)


def _chosen(shown: Json, query: UserQuery) -> bool:
    """Whether the query chooses an entry: Keycloak's own search takes `*` and `%` for more than themselves."""
    display_name = shown.get("attributes", {}).get("display_name", [""])[0]
    texts = (shown.get("username", ""), shown.get("email", ""), display_name)
    held = any(query.text.casefold() in text.casefold() for text in texts)
    return held and query.is_active in (None, shown["enabled"])


def _word(value: bool | None) -> str | None:
    return None if value is None else str(value).lower()
