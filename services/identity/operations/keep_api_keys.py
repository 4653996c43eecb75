"""Making, listing, ending and checking API keys."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from services.chassis.errors import InvalidFields, Unauthenticated
from services.chassis.identifiers import new_id
from services.chassis.pagination import PageTokens
from services.identity.errors import ApiKeyNotFound, InvalidApiKey
from services.identity.operations.journal import Journal
from services.identity.ports.accounts import ApiKeys, Requests
from services.identity.ports.directory import Directory
from services.identity.ports.sessions import EndedSessions
from services.identity.ports.work import Clock
from services.identity.rules.accounts import (
    API_KEY_DAYS,
    API_KEY_PREFIX,
    LAST_USE_PRECISION,
    ApiKey,
    keys_of,
    rotated_expiry,
    unknown_scopes,
)
from services.identity.rules.sessions import fingerprint
from services.identity.rules.users import User, demand_verified

_PUBLIC_BYTES = 5
_SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class KeepApiKeys:
    """Keeps API keys. `known_scopes` are those that RPCs ask for; `ended_keys` tells every service of ended keys."""

    keys: ApiKeys
    requests: Requests
    directory: Directory
    ended_keys: EndedSessions
    journal: Journal
    page_tokens: PageTokens
    known_scopes: frozenset[str]
    clock: Clock

    async def create(
        self, user_id: UUID, session_id: str, name: str, scopes: Sequence[str], days: int, request_id: UUID | None
    ) -> tuple[ApiKey, str]:
        """Make a key and return it with its secret; a repeated request gets the key without it.

        `session_id` is the session in which the user asks.

        Raises:
            InvalidFields: no scope, or one that no RPC asks for.
            EmailNotVerified: the address is not verified; its owner may still take the account over.
            RequestIdReused: the request id came before with something else.
            Unauthenticated: the caller's user is gone, or the caller's session has ended.
        """
        if not scopes:
            raise InvalidFields([("scopes", "is required")])
        if unknown := unknown_scopes(scopes, self.known_scopes):
            raise InvalidFields([("scopes", f"unknown: {', '.join(unknown)}")])
        await self._check_verified(user_id)
        content = f"api-key\n{name}\n{sorted(scopes)}\n{days}"
        if request_id is not None and (made := await self.requests.made(str(user_id), request_id, content)):
            return await self._get(made, user_id), ""
        now = self.clock()
        key, secret = self._new(user_id, name, frozenset(scopes), now + timedelta(days=days or API_KEY_DAYS))
        async with self.journal.recording(
            "api_key.create", str(key.api_key_id), alone=[keys_of(user_id)], prefix=key.prefix, name=name
        ):
            await self._check_goes_on(user_id, session_id)
            await self.keys.add(key, fingerprint(secret))
            if request_id is not None:
                await self.requests.add(str(user_id), request_id, content, key.api_key_id)
        return key, secret

    async def page(self, user_id: UUID, size: int, token: str) -> tuple[Sequence[ApiKey], str]:
        """Return a page of the user's good keys, the newest first, and the token of the next one."""
        asked = self.page_tokens.asked(f"api-keys/{user_id}", size, token)
        found = await self.keys.page(user_id, asked.last_id, asked.count, self.clock())
        return asked.of(found, lambda one: one.api_key_id)

    async def revoke(self, user_id: UUID, api_key_id: UUID) -> None:
        """End a key at once. Raises ApiKeyNotFound, and SessionCheckUnavailable when that could not be announced."""
        now = self.clock()
        async with self.journal.recording("api_key.revoke", str(api_key_id)):
            key = await self._get(api_key_id, user_id)
            if not key.is_good(now):
                raise ApiKeyNotFound(api_key_id=api_key_id)
            await self.keys.revoke(api_key_id, now)
        await self.ended_keys.announce(str(api_key_id))

    async def rotate(
        self, user_id: UUID, session_id: str, api_key_id: UUID, overlap: timedelta, request_id: UUID | None
    ) -> tuple[ApiKey, str]:
        """Make a key that takes the place of another, which stays good for the overlap; days and scopes are the same.

        Raises:
            ApiKeyNotFound: the user has no such key that is good.
            EmailNotVerified, RequestIdReused, Unauthenticated: as when a key is made.
        """
        content = f"rotate\n{api_key_id}\n{overlap}"
        if request_id is not None and (made := await self.requests.made(str(user_id), request_id, content)):
            return await self._get(made, user_id), ""
        now = self.clock()
        async with self.journal.recording("api_key.rotate", str(api_key_id), alone=[keys_of(user_id)]) as entry:
            await self._check_goes_on(user_id, session_id)
            old = await self._get(api_key_id, user_id)
            if not old.is_good(now):
                raise ApiKeyNotFound(api_key_id=api_key_id)
            await self._check_verified(user_id)
            key, secret = self._new(user_id, old.name, old.scopes, now + (old.expires_at - old.created_at))
            await self.keys.add(key, fingerprint(secret))
            await self.keys.expire(old.api_key_id, rotated_expiry(old, now, overlap))
            if request_id is not None:
                await self.requests.add(str(user_id), request_id, content, key.api_key_id)
            entry.details["successor_id"] = str(key.api_key_id)
        return key, secret

    async def check(self, key_hash: bytes) -> tuple[ApiKey, User]:
        """Return a good key and its active user, and note its use. Raises InvalidApiKey."""
        now = self.clock()
        key = await self.keys.by_hash(key_hash)
        if key is None or not key.is_good(now):
            raise InvalidApiKey
        user = await self.directory.users.get(key.user_id)
        if user is None or not user.is_active or not user.email_verified:
            raise InvalidApiKey
        # Not more than once a minute: a key may be used a thousand times a second.
        if key.last_used_at is None or now - key.last_used_at >= LAST_USE_PRECISION:
            await self.keys.used(key.api_key_id, now)
        return key, user

    async def _check_verified(self, user_id: UUID) -> None:
        user = await self.directory.users.get(user_id)
        if user is None:
            raise Unauthenticated(cause="the user is gone")
        demand_verified(user)

    async def _check_goes_on(self, user_id: UUID, session_id: str) -> None:
        # Who ends all keys of a user ends the sessions too: a call that was let in before must not leave a key behind.
        if not await self.directory.sessions.goes_on(user_id, session_id):
            raise Unauthenticated(cause="the session has ended")

    async def _get(self, api_key_id: UUID, user_id: UUID) -> ApiKey:
        key = await self.keys.get(api_key_id, user_id)
        if key is None:
            raise ApiKeyNotFound(api_key_id=api_key_id)
        return key

    def _new(self, user_id: UUID, name: str, scopes: frozenset[str], expires_at: datetime) -> tuple[ApiKey, str]:
        prefix = f"{API_KEY_PREFIX}{secrets.token_hex(_PUBLIC_BYTES)}"
        key = ApiKey(new_id(), user_id, name, prefix, scopes, self.clock(), expires_at)
        return key, f"{prefix}_{secrets.token_urlsafe(_SECRET_BYTES)}"
