"""Sessions and refresh tokens in PostgreSQL."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.identity.backends.tables import (
    REFRESH_TOKENS,
    SESSIONS,
    USERS,
    refresh_token_of,
    session_of,
    user_of,
)
from services.identity.rules.sessions import RefreshToken, Session, ShownToken


@dataclass(frozen=True, slots=True)
class PostgresSessionStore:
    """Implements the port SessionStore on one connection."""

    connection: AsyncConnection

    async def open(self, session: Session, token: RefreshToken) -> None:
        """See the port."""
        await self.connection.execute(
            insert(SESSIONS).values(
                id=session.session_id,
                user_id=session.user_id,
                created_at=session.created_at,
                expires_at=session.expires_at,
                ended_at=session.ended_at,
                used_at=session.used_at,
                address=session.address,
            )
        )
        await self._add(token)

    async def lock_shown(self, token_hash: bytes) -> ShownToken | None:
        """See the port."""
        shown = select(REFRESH_TOKENS.c.session_id).where(REFRESH_TOKENS.c.token_hash == token_hash)
        locked = await self.connection.execute(
            select(SESSIONS).where(SESSIONS.c.id == shown.scalar_subquery()).with_for_update()
        )
        session_row = locked.one_or_none()
        if session_row is None:
            return None
        # Read after the lock is had, in a statement of its own: only so is it what the winner of a race left.
        tokens = await self.connection.execute(select(REFRESH_TOKENS).where(REFRESH_TOKENS.c.token_hash == token_hash))
        token_row = tokens.one_or_none()
        users = await self.connection.execute(select(USERS).where(USERS.c.id == session_row.user_id))
        user_row = users.one_or_none()
        if token_row is None or user_row is None:
            return None
        return ShownToken(refresh_token_of(token_row), session_of(session_row), user_of(user_row))

    async def rotate(self, spent: RefreshToken, at: datetime, successor: RefreshToken) -> None:
        """See the port."""
        await self.connection.execute(
            update(REFRESH_TOKENS).where(REFRESH_TOKENS.c.token_hash == spent.token_hash).values(spent_at=at)
        )
        await self.connection.execute(
            update(SESSIONS)
            .where(SESSIONS.c.id == spent.session_id)
            .values(expires_at=successor.expires_at, used_at=at)
        )
        await self._add(successor)

    async def end(self, session_id: UUID, at: datetime) -> None:
        """See the port."""
        await self.connection.execute(
            update(SESSIONS).where(SESSIONS.c.id == session_id, SESSIONS.c.ended_at.is_(None)).values(ended_at=at)
        )

    async def end_all(self, user_id: UUID, at: datetime) -> list[UUID]:
        """See the port."""
        statement = (
            update(SESSIONS)
            .where(SESSIONS.c.user_id == user_id, SESSIONS.c.ended_at.is_(None))
            .values(ended_at=at)
            .returning(SESSIONS.c.id)
        )
        return list((await self.connection.execute(statement)).scalars())

    async def of_user(self, user_id: UUID, now: datetime, size: int) -> list[Session]:
        """See the port."""
        statement = (
            select(SESSIONS)
            .where(SESSIONS.c.user_id == user_id, SESSIONS.c.ended_at.is_(None), SESSIONS.c.expires_at > now)
            .order_by(SESSIONS.c.id.desc())
            .limit(size)
        )
        return [session_of(row) for row in await self.connection.execute(statement)]

    async def get(self, session_id: UUID) -> Session | None:
        """See the port."""
        found = await self.connection.execute(select(SESSIONS).where(SESSIONS.c.id == session_id))
        row = found.one_or_none()
        return None if row is None else session_of(row)

    async def ended_since(self, moment: datetime) -> list[UUID]:
        """See the port."""
        ended = await self.connection.execute(select(SESSIONS.c.id).where(SESSIONS.c.ended_at >= moment))
        return list(ended.scalars())

    async def forget_expired(self, before: datetime) -> None:
        """See the port."""
        await self.connection.execute(delete(REFRESH_TOKENS).where(REFRESH_TOKENS.c.expires_at < before))
        await self.connection.execute(delete(SESSIONS).where(SESSIONS.c.expires_at < before))

    async def _add(self, token: RefreshToken) -> None:
        await self.connection.execute(
            insert(REFRESH_TOKENS).values(
                token_hash=token.token_hash,
                session_id=token.session_id,
                expires_at=token.expires_at,
                spent_at=token.spent_at,
            )
        )
