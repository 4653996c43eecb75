"""API keys in PostgreSQL: of the key itself the hash only. It has 256 random bits, so there is nothing to salt."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, insert, select, update

from services.identity.backends.postgres_work import PostgresWork
from services.identity.backends.tables import API_KEYS
from services.identity.rules.accounts import ApiKey

_KEYS = API_KEYS.c


@dataclass(frozen=True, slots=True)
class PostgresApiKeys:
    """Implements the port ApiKeys."""

    work: PostgresWork

    async def add(self, key: ApiKey, key_hash: bytes) -> None:
        """See the port."""
        statement = insert(API_KEYS).values(
            id=key.api_key_id,
            user_id=key.user_id,
            name=key.name,
            prefix=key.prefix,
            key_hash=key_hash,
            scopes=sorted(key.scopes),
            created_at=key.created_at,
            expires_at=key.expires_at,
        )
        async with self.work.connection() as connection:
            await connection.execute(statement)

    async def get(self, api_key_id: UUID, user_id: UUID) -> ApiKey | None:
        """See the port."""
        statement = select(API_KEYS).where(_KEYS.id == api_key_id, _KEYS.user_id == user_id).with_for_update()
        async with self.work.connection() as connection:
            row = (await connection.execute(statement)).one_or_none()
        return None if row is None else _key(row)

    async def by_hash(self, key_hash: bytes) -> ApiKey | None:
        """See the port."""
        async with self.work.reading() as connection:
            row = (await connection.execute(select(API_KEYS).where(_KEYS.key_hash == key_hash))).one_or_none()
        return None if row is None else _key(row)

    async def page(self, user_id: UUID, before: UUID | None, size: int, now: datetime) -> list[ApiKey]:
        """See the port."""
        statement = select(API_KEYS).where(_KEYS.user_id == user_id, _KEYS.revoked_at.is_(None), _KEYS.expires_at > now)
        if before is not None:
            statement = statement.where(_KEYS.id < before)
        async with self.work.reading() as connection:
            rows = await connection.execute(statement.order_by(_KEYS.id.desc()).limit(size))
            return [_key(row) for row in rows]

    async def expire(self, api_key_id: UUID, at: datetime) -> None:
        """See the port."""
        await self._change(api_key_id, expires_at=at)

    async def revoke(self, api_key_id: UUID, at: datetime) -> None:
        """See the port."""
        await self._change(api_key_id, revoked_at=at)

    async def revoke_all(self, user_id: UUID, at: datetime) -> list[UUID]:
        """See the port."""
        good = (_KEYS.user_id == user_id, _KEYS.revoked_at.is_(None), _KEYS.expires_at > at)
        async with self.work.connection() as connection:
            ended = await connection.execute(update(API_KEYS).where(*good).values(revoked_at=at).returning(_KEYS.id))
        return list(ended.scalars())

    async def used(self, api_key_id: UUID, at: datetime) -> None:
        """See the port."""
        await self._change(api_key_id, last_used_at=at)

    async def _change(self, api_key_id: UUID, **changes: datetime) -> None:
        async with self.work.connection() as connection:
            await connection.execute(update(API_KEYS).where(_KEYS.id == api_key_id).values(**changes))


def _key(row: Row[Any]) -> ApiKey:
    return ApiKey(
        row.id,
        row.user_id,
        row.name,
        row.prefix,
        frozenset(row.scopes),
        row.created_at,
        row.expires_at,
        row.last_used_at,
        row.revoked_at,
    )
