"""What repeated requests made the first time, in PostgreSQL."""

import hashlib
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from services.identity.backends.postgres_work import PostgresWork
from services.identity.backends.tables import REQUESTS
from services.identity.errors import RequestIdReused, RequestInProgress


@dataclass(frozen=True, slots=True)
class PostgresRequests:
    """Implements the port Requests."""

    work: PostgresWork

    async def made(self, user_id: str, request_id: UUID, content: str) -> UUID | None:
        """See the port."""
        statement = select(REQUESTS).where(REQUESTS.c.user_id == user_id, REQUESTS.c.request_id == request_id)
        async with self.work.reading() as connection:
            row = (await connection.execute(statement)).one_or_none()
        if row is None:
            return None
        if row.content_hash != _hash(content):
            raise RequestIdReused(request_id=request_id)
        made_id: UUID = row.made_id
        return made_id

    async def add(self, user_id: str, request_id: UUID, content: str, made_id: UUID) -> None:
        """See the port."""
        statement = (
            insert(REQUESTS)
            .values(user_id=user_id, request_id=request_id, content_hash=_hash(content), made_id=made_id)
            .on_conflict_do_nothing()
        )
        async with self.work.connection() as connection:
            if (await connection.execute(statement)).rowcount != 1:
                # It was not there when this request began: its twin has stored it since.
                raise RequestInProgress(request_id=request_id)


def _hash(content: str) -> bytes:
    return hashlib.sha256(content.encode()).digest()
